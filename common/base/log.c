/* SPDX-License-Identifier: Apache-2.0 */

#include "common/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/slice.h"
#include "common/base/utf8.h"

#define ELLIPSIS "\xe2\x80\xa6"

/* Quotes, an ellipsis, and every byte as \xNN. */
#define QUOTED_SIZE (LOG_QUOTE_MAX * 4 + 8)

/*
 * How a line reaches stderr without waiting.  The file behind stderr is
 * opened anew where that works: O_NONBLOCK set on the inherited description
 * would be seen by every process that shares it.
 */
enum sink {
	SINK_POLL,   /* ask whether there is room, then write */
	SINK_SOCKET, /* send(MSG_DONTWAIT) */
	SINK_OWN     /* a non-blocking description of our own */
};

struct level_name {
	const char *name;
	enum log_level level;
};

static const struct level_name level_names[] = {
	{ "error", LOG_LEVEL_ERROR },
	{ "warning", LOG_LEVEL_WARNING },
	{ "info", LOG_LEVEL_INFO },
	{ "debug", LOG_LEVEL_DEBUG },
};

static const char *log_program = "weir"; /* [const] after log_init() */
static bool log_has_prefix;              /* [const] after log_init() */
static enum sink log_sink;               /* [const] after log_init() */
static int log_fd = STDERR_FILENO;       /* [const] after log_init() */

/* All relaxed: they order nothing, each is looked at alone. */
static _Atomic int log_threshold = LOG_LEVEL_INFO;
static _Atomic uint64_t log_lost_total;
static _Atomic uint64_t log_lost_unreported;

/* systemd names the stream it connected: stderr may be another by now. */
static bool
is_journal(const struct stat *st)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;

	if (stream == NULL || sscanf(stream, "%llu:%llu", &device, &inode) != 2)
		return false;
	return device == st->st_dev && inode == st->st_ino;
}

static void
choose_sink(const struct stat *st)
{
	int fd;

	if (log_sink == SINK_OWN)
		close(log_fd);
	log_fd = STDERR_FILENO;
	log_sink = SINK_POLL;
	if (S_ISSOCK(st->st_mode)) {
		log_sink = SINK_SOCKET;
		return;
	}
	fd = open("/proc/self/fd/2",
	    O_WRONLY | O_NONBLOCK | O_APPEND | O_NOCTTY | O_CLOEXEC);
	if (fd != -1) {
		log_fd = fd;
		log_sink = SINK_OWN;
	}
}

void
log_init(const char *program)
{
	const char *forced = getenv("WEIR_LOG_PREFIX");
	struct stat st = { 0 };

	log_program = program;
	if (fstat(STDERR_FILENO, &st) == 0)
		choose_sink(&st);
	log_has_prefix =
	    forced != NULL ? strcmp(forced, "1") == 0 : is_journal(&st);
	atomic_store_explicit(&log_lost_total, 0, memory_order_relaxed);
	atomic_store_explicit(&log_lost_unreported, 0, memory_order_relaxed);
}

void
log_set_level(enum log_level level)
{
	atomic_store_explicit(&log_threshold, (int)level, memory_order_relaxed);
}

bool
log_is_enabled(enum log_level level)
{
	return (int)level <=
	    atomic_load_explicit(&log_threshold, memory_order_relaxed);
}

int
log_level_from_name(const char *name, enum log_level *out_level)
{
	size_t count = sizeof(level_names) / sizeof(level_names[0]);

	for (size_t i = 0; i < count; i++)
		if (strcmp(level_names[i].name, name) == 0) {
			*out_level = level_names[i].level;
			return 0;
		}
	return -EINVAL;
}

static const char *
name_of_level(enum log_level level)
{
	size_t count = sizeof(level_names) / sizeof(level_names[0]);

	for (size_t i = 0; i < count; i++)
		if (level_names[i].level == level)
			return level_names[i].name;
	return "?";
}

/* Control characters: C0, DEL, and C1 in UTF-8, which terminals obey too. */
static bool
is_control(const uint8_t *at, size_t len)
{
	if (len == 1)
		return at[0] < 0x20 || at[0] == 0x7f;
	return len == 2 && at[0] == 0xc2 && at[1] < 0xa0;
}

static char *
escape_byte(char *to, uint8_t byte)
{
	static const char plain[] = "\"\\nrt";
	static const char special[] = "\"\\\n\r\t";
	const char *hit = byte == 0 ? NULL : strchr(special, byte);

	*to++ = '\\';
	if (hit != NULL) {
		*to++ = plain[hit - special];
		return to;
	}
	*to++ = 'x';
	*to++ = "0123456789abcdef"[byte >> 4];
	*to++ = "0123456789abcdef"[byte & 15];
	return to;
}

const char *
log_quote_n(const void *bytes, size_t len)
{
	static _Thread_local char slots[LOG_QUOTE_SLOTS][QUOTED_SIZE];
	static _Thread_local unsigned turn;
	char *start = slots[turn++ % LOG_QUOTE_SLOTS], *to = start;
	const uint8_t *at = bytes;
	size_t step, used = 0;

	*to++ = '"';
	for (; used < len; used += step, at += step) {
		step = utf8_sequence(slice_of(at, len - used));
		if (used + (step == 0 ? 1 : step) > LOG_QUOTE_MAX)
			break;
		if (step > 0 && !is_control(at, step) && *at != '"' &&
		    *at != '\\') {
			memcpy(to, at, step);
			to += step;
			continue;
		}
		step = 1;
		to = escape_byte(to, *at);
	}
	if (used < len) {
		memcpy(to, ELLIPSIS, strlen(ELLIPSIS));
		to += strlen(ELLIPSIS);
	}
	*to++ = '"';
	*to = '\0';
	return start;
}

const char *
log_quote(const char *string)
{
	return log_quote_n(string, string == NULL ? 0 : strlen(string));
}

uint64_t
log_lost(void)
{
	return atomic_load_explicit(&log_lost_total, memory_order_relaxed);
}

static size_t
format_head(char *line, enum log_level level)
{
	uint64_t wall_ns;
	time_t seconds;
	struct tm utc;
	size_t len;

	if (log_has_prefix)
		return (size_t)snprintf(line, LOG_LINE_MAX, "<%d>", (int)level);

	wall_ns = clock_wall_ns();
	seconds = (time_t)(wall_ns / CLOCK_SECOND_NS);
	gmtime_r(&seconds, &utc);
	len = strftime(line, LOG_LINE_MAX, "%Y-%m-%dT%H:%M:%S", &utc);
	return len +
	    (size_t)snprintf(line + len, LOG_LINE_MAX - len, ".%03uZ %-7s %s: ",
		(unsigned)(wall_ns % CLOCK_SECOND_NS / CLOCK_MS_NS),
		name_of_level(level), log_program);
}

/* True when the whole line went out. */
static bool
put_line(const char *line, size_t len)
{
	struct pollfd room = { .fd = log_fd, .events = POLLOUT };
	ssize_t written;

	if (log_sink == SINK_SOCKET) {
		written = send(log_fd, line, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		return written == (ssize_t)len;
	}
	if (log_sink == SINK_POLL &&
	    (poll(&room, 1, 0) != 1 || (room.revents & POLLOUT) == 0))
		return false;
	written = write(log_fd, line, len);
	return written == (ssize_t)len;
}

static void
count_lost(uint64_t lines)
{
	atomic_fetch_add_explicit(
	    &log_lost_unreported, lines, memory_order_relaxed);
}

/* Whoever swaps the number out reports it, or puts it back. */
static void
report_lost(void)
{
	char line[LOG_LINE_MAX];
	uint64_t lines;
	size_t len;

	if (atomic_load_explicit(&log_lost_unreported, memory_order_relaxed) ==
	    0)
		return;
	lines = atomic_exchange_explicit(
	    &log_lost_unreported, 0, memory_order_relaxed);
	if (lines == 0)
		return;
	len = format_head(line, LOG_LEVEL_WARNING);
	len += (size_t)snprintf(line + len, sizeof(line) - len,
	    "event=log_lines_lost count=%llu\n", (unsigned long long)lines);
	if (!put_line(line, len))
		count_lost(lines);
}

/* Cut what is too long, drop blanks at the end, keep it one line. */
static size_t
finish_line(char *line, size_t len)
{
	if (len > LOG_LINE_MAX - 1) {
		len = LOG_LINE_MAX - 1 - strlen(ELLIPSIS);
		while (len > 0 && ((uint8_t)line[len] & 0xc0) == 0x80)
			len--;
		memcpy(line + len, ELLIPSIS, strlen(ELLIPSIS));
		len += strlen(ELLIPSIS);
	}
	while (len > 0 && line[len - 1] == ' ')
		len--;
	for (size_t i = 0; i < len; i++)
		if ((uint8_t)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = ' ';
	line[len++] = '\n';
	return len;
}

void
log_write(enum log_level level, const char *event, const char *format, ...)
{
	int saved_errno = errno;
	char line[LOG_LINE_MAX + 1];
	size_t len;
	va_list args;

	len = format_head(line, level);
	len += (size_t)snprintf(
	    line + len, LOG_LINE_MAX - len, "event=%.64s", event);
	errno = saved_errno; /* for %m */
	va_start(args, format);
	len += (size_t)vsnprintf(line + len, sizeof(line) - len, format, args);
	va_end(args);
	len = finish_line(line, len);

	report_lost();
	if (!put_line(line, len)) {
		atomic_fetch_add_explicit(
		    &log_lost_total, 1, memory_order_relaxed);
		count_lost(1);
	}
	errno = saved_errno;
}
