/* SPDX-License-Identifier: Apache-2.0 */

/*
 * store_sim_private - what the files of the simulated disk share.
 *
 * store_sim.c is the table of calls, store_sim_disk.c what a file and a name
 * are, and what a power cut leaves of them.
 */

#ifndef WEIR_TESTS_UNIT_STORE_SIM_PRIVATE_H
#define WEIR_TESTS_UNIT_STORE_SIM_PRIVATE_H

#include <pthread.h>

#include "tests/unit/store_sim.h"

/* What a disk writes as a whole, or not. */
#define SIM_SECTOR 512u

#define SIM_NAME_MAX 80u

struct sim_content {
	uint8_t *bytes;
	size_t size, room;
};

/* Of a file, since its last sync. */
struct sim_change {
	uint64_t offset, length;
	uint8_t *bytes; /* NULL: zeros */
	bool is_size;   /* the file ends at `offset` */
};

struct sim_file {
	struct sim_content cached, durable;
	struct sim_change *changes;
	size_t change_count, change_room;
	unsigned opened;
};

struct sim_name {
	char name[SIM_NAME_MAX];
	struct sim_file *file;
};

struct sim_names {
	struct sim_name *list;
	size_t count, room;
};

/* Of the names, since the last sync_directory(). */
struct sim_move {
	char from[SIM_NAME_MAX]; /* "": it was made */
	char to[SIM_NAME_MAX];   /* "": it was removed */
	struct sim_file *file;
};

struct sim_disk {
	struct sim_names cached, durable;
	struct sim_move *moves;
	size_t move_count, move_room;
	struct sim_file **files; /* all that anything still refers to */
	size_t file_count, file_room;
};

/* Both: what it is now, and a change that is not durable. */
void sim_file_write(
    struct sim_file *file, const void *bytes, uint64_t offset, uint64_t length);
void sim_file_resize(struct sim_file *file, uint64_t size);

/* All changes are durable. */
void sim_file_sync(struct sim_file *file);

/* Keep of the changes what `loss` says; that is what is read then. */
void sim_file_lose(
    struct sim_file *file, enum store_sim_loss loss, uint64_t *dice);

/*
 * A sync failed: some are durable, and no other will be.  What is read then
 * is what was written, or what is durable.  The size is in the file system's
 * log and stays.
 */
void sim_file_fail(struct sim_file *file, uint64_t *dice);

struct sim_file *sim_disk_find(const struct sim_disk *disk, const char *name);
struct sim_file *sim_disk_make(struct sim_disk *disk, const char *name);
void sim_disk_move(struct sim_disk *disk, const char *from, const char *to);
void sim_disk_remove(struct sim_disk *disk, const char *name);
void sim_disk_sync(struct sim_disk *disk);
void sim_disk_lose(
    struct sim_disk *disk, enum store_sim_loss loss, uint64_t *dice);

/* Forget files without a name that nobody has open. */
void sim_disk_collect(struct sim_disk *disk);
void sim_disk_clone(struct sim_disk *disk, const struct sim_disk *from);
void sim_disk_fini(struct sim_disk *disk);

#endif
