/* SPDX-License-Identifier: Apache-2.0 */

/*
 * parse - numbers, sizes, durations and addresses as people write them.
 *
 * All are exact: no rounding, no sign, no white space, nothing after the
 * unit; what does not fit is an error, not a wrapped number.  Any thread.
 */

#ifndef WEIR_COMMON_BASE_PARSE_H
#define WEIR_COMMON_BASE_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Enough for anything that the format functions write. */
#define PARSE_TEXT_SIZE 32

/* A host name of 253 bytes is the longest that DNS has. */
#define PARSE_HOST_SIZE 256

/* In front of a Unix socket's path, and room for it, as sockaddr_un has. */
#define PARSE_UNIX_PREFIX "unix:"
#define PARSE_UNIX_PATH_SIZE 108

struct host_port {
	char host[PARSE_HOST_SIZE]; /* IPv6 without its brackets */
	uint16_t port;
};

/* Decimal digits.  Returns 0, -EINVAL, or -ERANGE when it does not fit. */
int parse_u64(const char *text, uint64_t *out_value);

/* "4096", "64KiB", "16MiB", "1GiB" and "B".  Returns as parse_u64(). */
int parse_size(const char *text, uint64_t *out_bytes);

/* "500ms", "2s", "10min" (or "10m"), "1h", "1d", "0".  As parse_u64(). */
int parse_duration(const char *text, uint64_t *out_ns);

/*
 * "host:port", "1.2.3.4:port" or "[v6]:port"; an empty host before the colon
 * is accepted and means all addresses.
 * Returns 0, -EINVAL, or -ERANGE for a port above 65535.
 */
int parse_host_port(const char *text, struct host_port *out_address);

/* The path of "unix:/path", whatever it is; NULL for another address. */
const char *parse_unix_path(const char *address);

/* 127.0.0.0/8, ::1 or the name localhost. */
bool parse_is_loopback(const char *host);

/*
 * Write the largest unit that is exact ("256KiB", "1500ms") and return `text`,
 * which has room for PARSE_TEXT_SIZE bytes.
 */
const char *format_size(uint64_t bytes, char *text);
const char *format_duration(uint64_t ns, char *text);

#endif
