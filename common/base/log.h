/* SPDX-License-Identifier: Apache-2.0 */

/*
 * log - one event, one line of key=value, on stderr.
 *
 *	log_init("weir-broker");
 *	log_info("session_taken_over", "client=%s fd=%d", log_quote(id), fd);
 *	log_info("ready");
 *
 * Under systemd (or with WEIR_LOG_PREFIX=1) a line reads
 *
 *	<6>event=session_taken_over client="sensor-7" fd=31
 *
 * elsewhere the priority is replaced by time, level and program.
 *
 * A line is written whole, by one system call, and never waits: a reader of
 * stderr that stops reading costs lines, not service.  Lost lines are counted
 * and reported (event=log_lines_lost) once there is room again.
 *
 * Any thread may log; the path takes no lock.  log_init() comes first, from
 * the main thread; lines before it go to plain stderr.
 */

#ifndef WEIR_COMMON_BASE_LOG_H
#define WEIR_COMMON_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longest line with its newline; PIPE_BUF keeps it whole in a pipe. */
#define LOG_LINE_MAX 4000

/* Most bytes of a peer's string that log_quote() shows. */
#define LOG_QUOTE_MAX 128

/* How many results of log_quote() a thread may use in one line. */
#define LOG_QUOTE_SLOTS 8

/* The numbers are those of syslog(3), which journald reads. */
enum log_level {
	LOG_LEVEL_ERROR = 3,   /* someone must act */
	LOG_LEVEL_WARNING = 4, /* we coped */
	LOG_LEVEL_INFO = 6,    /* a life event */
	LOG_LEVEL_DEBUG = 7
};

/*
 * Choose how lines look and where they go; `program` must outlive the log.
 * Calling it again looks at stderr anew.
 */
void log_init(const char *program);

/* Lines above `level` are not written.  Info unless set. */
void log_set_level(enum log_level level);
bool log_is_enabled(enum log_level level);

/*
 * "error", "warning", "info" or "debug".
 * Returns 0, or -EINVAL and leaves *out_level alone.
 */
int log_level_from_name(const char *name, enum log_level *out_level);

/*
 * The string in double quotes, with quotes, backslashes, control bytes and
 * whatever is not UTF-8 escaped, cut after LOG_QUOTE_MAX bytes with an
 * ellipsis.  NULL reads as "".  The result lives in the thread's own ring of
 * LOG_QUOTE_SLOTS buffers: use it in the line at hand.
 */
const char *log_quote(const char *string);
const char *log_quote_n(const void *bytes, size_t len);

/* Lines lost for want of room since log_init(), reported or not. */
uint64_t log_lost(void);

/* Use the macros; `format` begins with the blank after the event. */
void log_write(enum log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define log_at(level, event, ...)                                              \
	do {                                                                   \
		if (log_is_enabled(level))                                     \
			log_write(level, event, " " __VA_ARGS__);              \
	} while (0)

#define log_error(event, ...) log_at(LOG_LEVEL_ERROR, event, __VA_ARGS__)
#define log_warning(event, ...) log_at(LOG_LEVEL_WARNING, event, __VA_ARGS__)
#define log_info(event, ...) log_at(LOG_LEVEL_INFO, event, __VA_ARGS__)
#define log_debug(event, ...) log_at(LOG_LEVEL_DEBUG, event, __VA_ARGS__)

#endif
