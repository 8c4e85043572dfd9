/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the readers of convert.h share: the configuration that grows, and what
 * was left out of it.
 */

#ifndef WEIR_CTL_CONVERT_PRIVATE_H
#define WEIR_CTL_CONVERT_PRIVATE_H

#include <libconfig.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "ctl/convert.h"

/* Where something was read, and how it is called there. */
struct convert_at {
	const char *file;
	unsigned line;
	const char *key;
	const char *value;
};

/* How a value is written there, and so here. */
enum convert_kind {
	CONVERT_TEXT,
	CONVERT_BOOL,     /* true, false; yes, on, 1 ... */
	CONVERT_NUMBER,   /* decimal digits */
	CONVERT_SECONDS,  /* a number of them */
	CONVERT_DURATION, /* "30s", "2h" */
	CONVERT_BYTES,    /* "1024", "64KB", "1MB": of 1024 */
	CONVERT_PACKET,   /* such, of what a ring takes as it is made */
};

/* What becomes of a key. */
struct convert_row {
	const char *from;
	enum convert_kind kind;
	const char *to;  /* below the group that it is for; NULL: nothing */
	const char *why; /* of one that becomes nothing */
};

/* A row for a key that needs nothing here: it is told as that. */
#define CONVERT_NEEDLESS(from, why)                                            \
	{                                                                      \
		from, CONVERT_TEXT, "", why                                    \
	}
/* A row for one that cannot be carried over. */
#define CONVERT_LEFT(from, why)                                                \
	{                                                                      \
		from, CONVERT_TEXT, NULL, why                                  \
	}

struct convert_note; /* a line of the comment on top */
struct convert_name; /* of a file that was included */

struct convert {
	config_t tree;
	FILE *errors;
	struct convert_note *notes;
	size_t note_count, note_room;
	struct convert_name *names;
	unsigned left;
	unsigned includes; /* that are open */
	bool is_wrong;     /* a mistake was told */
	bool no_memory;
};

/* A group in the file: its setting, and its path for conf_has_key(). */
struct convert_group {
	config_setting_t *setting;
	const char *path; /* "" of the whole */
};

/* A new element of a list of groups at the top: "listeners", "bridges". */
struct convert_group convert_add(struct convert *convert, const char *list);

/* A new element of a list within: "forward" of a bridge. */
config_setting_t *convert_add_within(
    struct convert *convert, config_setting_t *group, const char *list);

/*
 * Put a value under `key` ("keepalive", "tls.ca_file"); one that is there is
 * replaced.  What this version has not, or is no such value, is left out and
 * told.
 */
void convert_put(struct convert *convert, const struct convert_group *group,
    const struct convert_at *at, const char *key, enum convert_kind kind,
    const char *text);

/* Several texts, as a list. */
void convert_put_list(struct convert *convert,
    const struct convert_group *group, const struct convert_at *at,
    const char *key, char *const texts[], size_t count);

/* The bridge's name, of one that weir.conf may not take. */
void convert_name_bridge(struct convert *convert,
    const struct convert_group *bridge, const struct convert_at *at,
    const char *name);

/* allow_anonymous of each listener that does not say it. */
void convert_end_listeners(
    struct convert *convert, const struct convert_at *at, bool anonymous);

/* Is there such a member? */
bool convert_has(const struct convert_group *group, const char *name);

/* The same by a table that a row without `from` ends.  False: no such row. */
bool convert_by_row(struct convert *convert, const struct convert_group *group,
    const struct convert_at *at, const struct convert_row *rows);

/* Not carried over: why, and what to do. */
void convert_leave(struct convert *convert, const struct convert_at *at,
    const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Carried over by doing nothing; in the comment alone. */
void convert_needless(
    struct convert *convert, const struct convert_at *at, const char *why);

/* The file cannot be understood there. */
void convert_mistake(struct convert *convert, const char *file, unsigned line,
    const char *format, ...) __attribute__((format(printf, 4, 5)));

/* true, yes, on, 1: 1; false, no, off, 0: 0; else -1. */
int convert_truth(const char *text);

/* A text of the whole file, on the heap, ended by NUL; NULL with errno. */
char *convert_slurp(const char *path);

/*
 * The path of an included file, as it stays to the end: what is told then may
 * be about it.  "?" without memory.
 */
const char *convert_keep_name(struct convert *convert, const char *path);

/* The readers.  `text` is changed.  0 or -errno; a mistake was told. */
int convert_read_mosquitto(
    struct convert *convert, const char *path, char *text);
int convert_read_nanomq(struct convert *convert, const char *path, char *text);

/*
 * A configuration of the kind HOCON, flattened: `each` gets every value with
 * its path, "bridges.mqtt.cloud.forwards.0.qos".  It ends early after a
 * mistake, which was told.  The text is changed.
 */
void convert_hocon(struct convert *convert, const char *path, char *text,
    void (*each)(void *context, const struct convert_at *at), void *context);

#endif
