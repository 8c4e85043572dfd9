/* SPDX-License-Identifier: Apache-2.0 */

#include "ctl/log_relay.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Bytes that would disturb a terminal or forge a line. */
static void
clean(char *line)
{
	for (; *line != '\0'; line++) {
		if (((unsigned char)*line < ' ' && *line != '\t') ||
		    *line == 0x7f)
			*line = '?';
	}
}

/* Take `<N>` off the front; info without it. */
static enum log_level
take_level(char **line)
{
	const char *s = *line;

	if (s[0] != '<' || s[1] < '0' || s[1] > '7' || s[2] != '>')
		return LOG_LEVEL_INFO;
	*line += 3;
	switch (s[1]) {
	case '7':
		return LOG_LEVEL_DEBUG;
	case '6':
	case '5':
		return LOG_LEVEL_INFO;
	case '4':
		return LOG_LEVEL_WARNING;
	default:
		return LOG_LEVEL_ERROR;
	}
}

static void
pass_on(const struct log_relay *relay, char *line)
{
	const enum log_level level = take_level(&line);
	char *rest;

	clean(line);
	if (strncmp(line, "event=", 6) != 0) {
		log_write(level, "output", " process=%s %s", relay->name, line);
		return;
	}
	line += 6;
	rest = strchr(line, ' ');
	if (rest != NULL)
		*rest++ = '\0';
	else
		rest = line + strlen(line);
	log_write(level, line, " process=%s %s", relay->name, rest);
}

/* Pass on all whole lines; keep the rest, unless it fills the buffer. */
static void
take_lines(struct log_relay *relay)
{
	char *start = relay->line, *newline;

	while ((newline = memchr(start, '\n',
		    relay->used - (size_t)(start - relay->line))) != NULL) {
		*newline = '\0';
		pass_on(relay, start);
		start = newline + 1;
	}
	relay->used -= (size_t)(start - relay->line);
	memmove(relay->line, start, relay->used);
	if (relay->used == sizeof(relay->line) - 1) {
		relay->line[relay->used] = '\0';
		pass_on(relay, relay->line);
		relay->used = 0;
	}
}

int
log_relay_read(struct log_relay *relay, int fd)
{
	ssize_t n;

	for (;;) {
		n = read(fd, relay->line + relay->used,
		    sizeof(relay->line) - 1 - relay->used);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && errno == EAGAIN)
			return 1;
		if (n <= 0)
			break;
		relay->used += (size_t)n;
		take_lines(relay);
	}
	if (relay->used != 0) {
		relay->line[relay->used] = '\0';
		pass_on(relay, relay->line);
		relay->used = 0;
	}
	return 0;
}
