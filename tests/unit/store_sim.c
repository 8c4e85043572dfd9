/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/unit/store_sim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/bug.h"
#include "tests/unit/store_sim_private.h"
#include "tests/unit/unit_memory.h"

#define US UINT64_C(1000)

/* About what an SSD takes. */
#define CALL_NS (2 * US)
#define SYNC_NS (90 * US)

#define WALL_AT_START UINT64_C(1700000000000000000)

/* Not zero, so that a 0 is never taken for a handle by chance. */
#define FIRST_HANDLE 100

struct fault {
	uint64_t at; /* the count of the call that fails; UINT64_MAX: none */
	int err;
	bool lasts;
};

struct handle {
	struct sim_file *file; /* NULL: closed */
	bool is_writable;
};

struct store_sim {
	struct store_io io;
	pthread_mutex_t lock;
	struct sim_disk disk;
	struct handle *handles;
	size_t handle_count, handle_room;

	uint64_t dice;
	uint64_t now_ns;
	uint64_t disk_bytes;

	uint64_t counts[STORE_SIM_CALLS + 1]; /* the last: of any kind */
	struct fault faults[STORE_SIM_CALLS];
	uint64_t broken_from, broken_until; /* by the count of any kind */

	uint64_t changes;
	uint64_t cut_at; /* the change in which the power fails */
	enum store_sim_loss cut_loss;
	bool is_off;
};

/* ---- every call ---------------------------------------------------------- */

/* Locks.  0, or why this call fails. */
static int
enter(struct store_sim *sim, enum store_sim_call call)
{
	struct fault *fault = &sim->faults[call];
	uint64_t count, any;

	BUG_ON(pthread_mutex_lock(&sim->lock) != 0);
	sim->now_ns += call == STORE_SIM_SYNC ? SYNC_NS : CALL_NS;
	count = sim->counts[call]++;
	any = sim->counts[STORE_SIM_CALLS]++;
	if (sim->is_off || (any >= sim->broken_from && any < sim->broken_until))
		return -EIO;
	if (count == fault->at || (fault->lasts && count > fault->at))
		return fault->err;
	return 0;
}

static int
leave(struct store_sim *sim, int err)
{
	BUG_ON(pthread_mutex_unlock(&sim->lock) != 0);
	return err;
}

/* A change was made: is it the one in which the power fails? */
static int
changed(struct store_sim *sim)
{
	if (sim->changes++ != sim->cut_at)
		return 0;
	if (sim->cut_loss != STORE_SIM_KILL)
		sim_disk_lose(&sim->disk, sim->cut_loss, &sim->dice);
	sim->is_off = true;
	return -EIO;
}

static struct sim_file *
opened(struct store_sim *sim, int file, bool to_write)
{
	const struct handle *handle;

	BUG_ON(file < FIRST_HANDLE);
	BUG_ON((size_t)(file - FIRST_HANDLE) >= sim->handle_count);
	handle = &sim->handles[file - FIRST_HANDLE];
	BUG_ON(handle->file == NULL);
	BUG_ON(to_write && !handle->is_writable);
	return handle->file;
}

static uint64_t
used(const struct store_sim *sim)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < sim->disk.cached.count; i++)
		bytes += sim->disk.cached.list[i].file->cached.size;
	return bytes;
}

/* How far the file may grow, if at all. */
static uint64_t
largest(const struct store_sim *sim, const struct sim_file *file)
{
	uint64_t bytes = used(sim);

	if (sim->disk_bytes == UINT64_MAX)
		return UINT64_MAX;
	return file->cached.size +
	    (bytes >= sim->disk_bytes ? 0 : sim->disk_bytes - bytes);
}

/* ---- the table ----------------------------------------------------------- */

/* Handles are never used twice: a stale one is found out. */
static int
new_handle(struct store_sim *sim, struct sim_file *file, bool is_writable)
{
	sim->handles = unit_grow(sim->handles, sim->handle_count,
	    &sim->handle_room, sizeof(*sim->handles));
	sim->handles[sim->handle_count] =
	    (struct handle){ .file = file, .is_writable = is_writable };
	file->opened++;
	return FIRST_HANDLE + (int)sim->handle_count++;
}

static int
sim_open(void *context, const char *name, enum store_open how)
{
	struct store_sim *sim = context;
	struct sim_file *file;
	int err = enter(sim, STORE_SIM_OPEN);

	if (err != 0)
		return leave(sim, err);
	file = sim_disk_find(&sim->disk, name);
	if (how != STORE_OPEN_CREATE && file == NULL)
		return leave(sim, -ENOENT);
	if (how == STORE_OPEN_CREATE) {
		if (file != NULL)
			return leave(sim, -EEXIST);
		file = sim_disk_make(&sim->disk, name);
		if (changed(sim) != 0)
			return leave(sim, -EIO);
	}
	return leave(sim, new_handle(sim, file, how != STORE_OPEN_READ));
}

static void
sim_close(void *context, int file)
{
	struct store_sim *sim = context;

	BUG_ON(pthread_mutex_lock(&sim->lock) != 0);
	opened(sim, file, false)->opened--;
	sim->handles[file - FIRST_HANDLE].file = NULL;
	leave(sim, 0);
}

static int64_t
sim_read(void *context, int file, void *bytes, size_t length, uint64_t offset)
{
	struct store_sim *sim = context;
	int err = enter(sim, STORE_SIM_READ);
	const struct sim_content *content;

	if (err != 0)
		return leave(sim, err);
	content = &opened(sim, file, false)->cached;
	if (offset >= content->size)
		length = 0;
	else if (length > content->size - offset)
		length = content->size - offset;
	if (length != 0)
		memcpy(bytes, content->bytes + offset, length);
	leave(sim, 0);
	return (int64_t)length;
}

static int
sim_write(
    void *context, int file, const void *bytes, size_t length, uint64_t offset)
{
	struct store_sim *sim = context;
	int err = enter(sim, STORE_SIM_WRITE);
	struct sim_file *written;
	uint64_t end;

	if (sim->is_off)
		return leave(sim, err);
	written = opened(sim, file, true);
	end = largest(sim, written);
	if (err == 0 && length > 0 && offset + length > end) {
		err = -ENOSPC;
		length = offset < end ? end - offset : 0;
	} else if (err != 0)
		length = store_sim_dice(&sim->dice, length + 1);
	sim_file_write(written, bytes, offset, length);
	return leave(sim, changed(sim) != 0 ? -EIO : err);
}

/*
 * A failed sync: some is on the disk, the rest will not be tried again, and
 * what reads then find is either.
 */
static int
sim_sync(void *context, int file)
{
	struct store_sim *sim = context;
	int err = enter(sim, STORE_SIM_SYNC);
	struct sim_file *synced;

	if (sim->is_off)
		return leave(sim, err);
	synced = opened(sim, file, false);
	if (err != 0) {
		sim_file_fail(synced, &sim->dice);
		return leave(sim, err);
	}
	if (changed(sim) != 0)
		return leave(sim, -EIO);
	sim_file_sync(synced);
	return leave(sim, 0);
}

static int
sim_allocate(void *context, int file, uint64_t size)
{
	struct store_sim *sim = context;
	int err = enter(sim, STORE_SIM_ALLOCATE);
	struct sim_file *made;
	uint64_t end;

	if (sim->is_off)
		return leave(sim, err);
	made = opened(sim, file, true);
	end = largest(sim, made);
	if (err != 0)
		size = store_sim_dice(&sim->dice, size + 1);
	else if (size > end) {
		err = -ENOSPC;
		size = end;
	}
	sim_file_resize(made, size);
	sim_file_write(made, NULL, 0, size);
	return leave(sim, changed(sim) != 0 ? -EIO : err);
}

static int
sim_truncate(void *context, int file, uint64_t size)
{
	struct store_sim *sim = context;
	int err = enter(sim, STORE_SIM_TRUNCATE);

	if (err != 0)
		return leave(sim, err);
	sim_file_resize(opened(sim, file, true), size);
	return leave(sim, changed(sim));
}

static int64_t
sim_size(void *context, int file)
{
	struct store_sim *sim = context;
	int64_t size;

	BUG_ON(pthread_mutex_lock(&sim->lock) != 0);
	size = (int64_t)opened(sim, file, false)->cached.size;
	leave(sim, 0);
	return size;
}

static int
sim_rename(void *context, const char *from, const char *to)
{
	struct store_sim *sim = context;
	int err = enter(sim, STORE_SIM_RENAME);

	if (err != 0)
		return leave(sim, err);
	if (sim_disk_find(&sim->disk, from) == NULL)
		return leave(sim, -ENOENT);
	sim_disk_move(&sim->disk, from, to);
	return leave(sim, changed(sim));
}

static int
sim_remove(void *context, const char *name)
{
	struct store_sim *sim = context;
	int err = enter(sim, STORE_SIM_REMOVE);

	if (err != 0)
		return leave(sim, err);
	if (sim_disk_find(&sim->disk, name) == NULL)
		return leave(sim, -ENOENT);
	sim_disk_remove(&sim->disk, name);
	return leave(sim, changed(sim));
}

static int
sim_sync_directory(void *context)
{
	struct store_sim *sim = context;
	int err = enter(sim, STORE_SIM_SYNC_DIRECTORY);

	if (err != 0 || changed(sim) != 0)
		return leave(sim, err != 0 ? err : -EIO);
	sim_disk_sync(&sim->disk);
	return leave(sim, 0);
}

/* Of a copy: `each` may make and remove files. */
static int
sim_list(void *context, int (*each)(void *arg, const char *name), void *arg)
{
	struct store_sim *sim = context;
	int err = enter(sim, STORE_SIM_LIST);
	size_t count = sim->disk.cached.count;
	struct sim_name *names;

	if (err != 0)
		return leave(sim, err);
	names = unit_new(count * sizeof(*names));
	if (count != 0)
		memcpy(names, sim->disk.cached.list, count * sizeof(*names));
	leave(sim, 0);
	for (size_t i = 0; i < count && err == 0; i++)
		err = each(arg, names[i].name);
	free(names);
	return err;
}

static uint64_t
sim_free_bytes(void *context)
{
	struct store_sim *sim = context;
	uint64_t taken = store_sim_used(sim);

	if (sim->disk_bytes == UINT64_MAX)
		return UINT64_MAX;
	return taken >= sim->disk_bytes ? 0 : sim->disk_bytes - taken;
}

static uint64_t
sim_now_ns(void *context)
{
	struct store_sim *sim = context;
	uint64_t now_ns;

	BUG_ON(pthread_mutex_lock(&sim->lock) != 0);
	now_ns = sim->now_ns;
	leave(sim, 0);
	return now_ns;
}

static uint64_t
sim_wall_ns(void *context)
{
	return WALL_AT_START + sim_now_ns(context);
}

/* ---- what a test does ---------------------------------------------------- */

struct store_sim *
store_sim_new(uint64_t seed)
{
	struct store_sim *sim = unit_new(sizeof(*sim));

	BUG_ON(pthread_mutex_init(&sim->lock, NULL) != 0);
	sim->dice = seed;
	sim->now_ns = 1000 * US;
	sim->disk_bytes = UINT64_MAX;
	sim->cut_at = UINT64_MAX;
	sim->io = (struct store_io){
		.context = sim,
		.open = sim_open,
		.close = sim_close,
		.read = sim_read,
		.write = sim_write,
		.sync = sim_sync,
		.allocate = sim_allocate,
		.truncate = sim_truncate,
		.size = sim_size,
		.rename = sim_rename,
		.remove = sim_remove,
		.sync_directory = sim_sync_directory,
		.list = sim_list,
		.free_bytes = sim_free_bytes,
		.now_ns = sim_now_ns,
		.wall_ns = sim_wall_ns,
	};
	store_sim_heal(sim);
	return sim;
}

struct store_sim *
store_sim_clone(const struct store_sim *sim)
{
	struct store_sim *clone = store_sim_new(sim->dice);

	clone->now_ns = sim->now_ns;
	clone->disk_bytes = sim->disk_bytes;
	sim_disk_clone(&clone->disk, &sim->disk);
	return clone;
}

void
store_sim_free(struct store_sim *sim)
{
	if (sim == NULL)
		return;
	sim_disk_fini(&sim->disk);
	free(sim->handles);
	pthread_mutex_destroy(&sim->lock);
	free(sim);
}

const struct store_io *
store_sim_io(struct store_sim *sim)
{
	return &sim->io;
}

static void
close_all(struct store_sim *sim)
{
	for (size_t i = 0; i < sim->handle_count; i++)
		if (sim->handles[i].file != NULL) {
			sim->handles[i].file->opened--;
			sim->handles[i].file = NULL;
		}
}

void
store_sim_cut(struct store_sim *sim, enum store_sim_loss loss)
{
	close_all(sim);
	if (loss != STORE_SIM_KILL)
		sim_disk_lose(&sim->disk, loss, &sim->dice);
}

void
store_sim_cut_at(struct store_sim *sim, uint64_t nth, enum store_sim_loss loss)
{
	BUG_ON(pthread_mutex_lock(&sim->lock) != 0);
	sim->cut_at = nth == UINT64_MAX ? nth : sim->changes + nth;
	sim->cut_loss = loss;
	leave(sim, 0);
}

bool
store_sim_is_off(struct store_sim *sim)
{
	bool is_off;

	BUG_ON(pthread_mutex_lock(&sim->lock) != 0);
	is_off = sim->is_off;
	leave(sim, 0);
	return is_off;
}

void
store_sim_power_on(struct store_sim *sim)
{
	close_all(sim);
	sim_disk_collect(&sim->disk);
	sim->is_off = false;
	sim->cut_at = UINT64_MAX;
}

uint64_t
store_sim_changes(struct store_sim *sim)
{
	uint64_t changes;

	BUG_ON(pthread_mutex_lock(&sim->lock) != 0);
	changes = sim->changes;
	leave(sim, 0);
	return changes;
}

uint64_t
store_sim_count(struct store_sim *sim, enum store_sim_call call)
{
	uint64_t count;

	BUG_ON(pthread_mutex_lock(&sim->lock) != 0);
	count = sim->counts[call];
	leave(sim, 0);
	return count;
}

void
store_sim_fail(struct store_sim *sim, enum store_sim_call call, uint64_t nth,
    int err, bool lasts)
{
	BUG_ON(pthread_mutex_lock(&sim->lock) != 0);
	sim->faults[call] = (struct fault){
		.at = nth == UINT64_MAX ? nth : sim->counts[call] + nth,
		.err = err,
		.lasts = lasts,
	};
	leave(sim, 0);
}

void
store_sim_break(struct store_sim *sim, uint64_t nth, uint64_t count)
{
	BUG_ON(pthread_mutex_lock(&sim->lock) != 0);
	sim->broken_from = sim->counts[STORE_SIM_CALLS] + nth;
	sim->broken_until = sim->broken_from + count;
	leave(sim, 0);
}

void
store_sim_heal(struct store_sim *sim)
{
	BUG_ON(pthread_mutex_lock(&sim->lock) != 0);
	sim->broken_until = 0;
	leave(sim, 0);
	for (unsigned call = 0; call < STORE_SIM_CALLS; call++)
		store_sim_fail(
		    sim, (enum store_sim_call)call, UINT64_MAX, 0, false);
}

void
store_sim_set_disk(struct store_sim *sim, uint64_t bytes)
{
	BUG_ON(pthread_mutex_lock(&sim->lock) != 0);
	sim->disk_bytes = bytes;
	leave(sim, 0);
}

uint64_t
store_sim_used(struct store_sim *sim)
{
	uint64_t bytes;

	BUG_ON(pthread_mutex_lock(&sim->lock) != 0);
	bytes = used(sim);
	leave(sim, 0);
	return bytes;
}

void
store_sim_advance(struct store_sim *sim, uint64_t ns)
{
	BUG_ON(pthread_mutex_lock(&sim->lock) != 0);
	sim->now_ns += ns;
	leave(sim, 0);
}

const char *
store_sim_name(struct store_sim *sim, size_t index)
{
	if (index >= sim->disk.cached.count)
		return NULL;
	return sim->disk.cached.list[index].name;
}

const uint8_t *
store_sim_bytes(struct store_sim *sim, const char *name, size_t *out_size)
{
	const struct sim_file *file = sim_disk_find(&sim->disk, name);

	if (file == NULL)
		return NULL;
	*out_size = file->cached.size;
	return file->cached.bytes;
}

void
store_sim_damage(struct store_sim *sim, const char *name, uint64_t offset,
    const void *bytes, size_t length)
{
	struct sim_file *file = sim_disk_find(&sim->disk, name);

	BUG_ON(file == NULL);
	BUG_ON(offset + length > file->cached.size);
	sim_file_write(file, bytes, offset, length);
	sim_file_sync(file);
}

void
store_sim_shorten(struct store_sim *sim, const char *name, uint64_t size)
{
	struct sim_file *file = sim_disk_find(&sim->disk, name);

	BUG_ON(file == NULL);
	BUG_ON(size > file->cached.size);
	sim_file_resize(file, size);
	sim_file_sync(file);
}

void
store_sim_lose(struct store_sim *sim, const char *name)
{
	BUG_ON(sim_disk_find(&sim->disk, name) == NULL);
	sim_disk_remove(&sim->disk, name);
	sim_disk_sync(&sim->disk);
}

size_t
store_sim_open_files(struct store_sim *sim)
{
	size_t count = 0;

	for (size_t i = 0; i < sim->handle_count; i++)
		count += sim->handles[i].file != NULL;
	return count;
}
