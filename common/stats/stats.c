/* SPDX-License-Identifier: Apache-2.0 */

#include "common/stats/stats.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/bug.h"
#include "common/shm/memfd.h"

#define LINE 64 /* no two writers share a cache line */

/* More than any table of ours, less than would hurt a reader. */
#define MAX_BYTES (64u << 20)

/* As drawn in the header file. */
struct stats_head {
	uint64_t magic;
	uint32_t abi;
	uint32_t rows;
	uint32_t blocks;
	uint32_t block_stride;
	uint32_t blocks_offset;
	uint32_t text_len;
	char program[STATS_PROGRAM_SIZE];
};

_Static_assert(offsetof(struct stats_head, abi) == 8, "layout");
_Static_assert(offsetof(struct stats_head, rows) == 12, "layout");
_Static_assert(offsetof(struct stats_head, blocks) == 16, "layout");
_Static_assert(offsetof(struct stats_head, block_stride) == 20, "layout");
_Static_assert(offsetof(struct stats_head, blocks_offset) == 24, "layout");
_Static_assert(offsetof(struct stats_head, text_len) == 28, "layout");
_Static_assert(offsetof(struct stats_head, program) == 32, "layout");
_Static_assert(sizeof(struct stats_head) == 64, "layout");

struct stats {
	struct stats_head head; /* a copy: the memory may change under us */
	uint8_t *map;
	size_t len;
	int fd; /* -1 for a reader */
	struct stats_row *rows;
	char *text; /* what the rows point to */
};

static size_t
round_up(size_t n)
{
	return (n + LINE - 1) / LINE * LINE;
}

static size_t
text_size(const struct stats_row *rows, uint32_t count)
{
	size_t size = 0;

	for (uint32_t i = 0; i < count; i++)
		size += 1 + strlen(rows[i].name) + 1 + strlen(rows[i].help) + 1;
	return size;
}

static void
write_text(char *at, const struct stats_row *rows, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		*at++ = rows[i].kind == STATS_COUNTER ? 'c' : 'g';
		at = stpcpy(at, rows[i].name) + 1;
		at = stpcpy(at, rows[i].help) + 1;
	}
}

/* Split *text at its next NUL; NULL when there is none. */
static const char *
next_string(char **at, const char *end)
{
	char *string = *at, *nul;

	nul = memchr(string, '\0', (size_t)(end - string));
	if (nul == NULL)
		return NULL;
	*at = nul + 1;
	return string;
}

/* Names go into Prometheus text as they are. */
static bool
is_name(const char *name)
{
	return name[0] != '\0' &&
	    name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0';
}

/* Make stats->rows of stats->text. */
static int
read_text(struct stats *stats)
{
	char *at = stats->text, *end = at + stats->head.text_len;
	struct stats_row *row;
	char kind;

	stats->rows = calloc(stats->head.rows, sizeof(*stats->rows));
	if (stats->rows == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < stats->head.rows; i++) {
		if (at == end)
			return -EPROTO;
		kind = *at++;
		row = &stats->rows[i];
		row->kind = kind == 'g' ? STATS_GAUGE : STATS_COUNTER;
		row->name = next_string(&at, end);
		if (row->name == NULL)
			return -EPROTO;
		row->help = next_string(&at, end);
		if (row->help == NULL || !is_name(row->name) ||
		    (kind != 'c' && kind != 'g'))
			return -EPROTO;
	}
	return 0;
}

/* Whether the head can be true for memory of this length. */
static bool
is_plausible(const struct stats_head *head, size_t len)
{
	if (head->magic != STATS_MAGIC || head->abi != STATS_ABI ||
	    head->rows == 0 || head->rows > STATS_MAX_ROWS ||
	    head->blocks == 0 || head->blocks > STATS_MAX_BLOCKS)
		return false;
	if (head->block_stride % LINE != 0 || head->blocks_offset % LINE != 0 ||
	    head->block_stride < head->rows * sizeof(uint64_t) ||
	    head->block_stride > MAX_BYTES)
		return false;
	return head->blocks_offset >= sizeof(*head) &&
	    head->text_len <= head->blocks_offset - sizeof(*head) &&
	    head->blocks_offset + (uint64_t)head->block_stride * head->blocks <=
	    len;
}

/* Map, copy the head, check the copy, copy the text, parse the copy. */
static int
attach(struct stats *stats, int fd, bool writable)
{
	void *map = NULL;
	int err;

	err = memfd_map(fd, stats->len, writable, &map);
	if (err != 0)
		return err;
	stats->map = map;
	memcpy(&stats->head, stats->map, sizeof(stats->head));
	stats->head.program[STATS_PROGRAM_SIZE - 1] = '\0';
	if (!is_plausible(&stats->head, stats->len))
		return -EPROTO;
	stats->text = malloc((size_t)stats->head.text_len + 1);
	if (stats->text == NULL)
		return -ENOMEM;
	memcpy(stats->text, stats->map + sizeof(stats->head),
	    stats->head.text_len);
	return read_text(stats);
}

/* Write the head and the text into new memory. */
static int
lay_out(const struct stats *stats, const struct stats_head *head,
    const struct stats_row *rows)
{
	void *map = NULL;
	int err;

	err = memfd_allocate(stats->fd, 0, stats->len);
	if (err != 0)
		return err;
	err = memfd_map(stats->fd, stats->len, true, &map);
	if (err != 0)
		return err;
	memcpy(map, head, sizeof(*head));
	write_text((char *)map + sizeof(*head), rows, head->rows);
	munmap(map, stats->len);
	return 0;
}

int
stats_create(const char *program, const struct stats_row *rows, uint32_t count,
    uint32_t blocks, struct stats **out_stats)
{
	struct stats_head head = { .magic = STATS_MAGIC,
		.abi = STATS_ABI,
		.rows = count,
		.blocks = blocks };
	struct stats *stats;
	int err;

	BUG_ON(count == 0 || count > STATS_MAX_ROWS);
	BUG_ON(blocks == 0 || blocks > STATS_MAX_BLOCKS);
	head.block_stride = (uint32_t)round_up(count * sizeof(uint64_t));
	head.text_len = (uint32_t)text_size(rows, count);
	head.blocks_offset = (uint32_t)round_up(sizeof(head) + head.text_len);
	strncpy(head.program, program, STATS_PROGRAM_SIZE - 1);

	stats = calloc(1, sizeof(*stats));
	if (stats == NULL)
		return -ENOMEM;
	stats->len = head.blocks_offset + (size_t)head.block_stride * blocks;
	stats->fd = memfd_create_sealed("weir-stats", stats->len);
	err = stats->fd < 0 ? stats->fd : lay_out(stats, &head, rows);
	if (err == 0)
		err = attach(stats, stats->fd, true);
	if (err != 0) {
		stats_free(stats);
		return err;
	}
	*out_stats = stats;
	return 0;
}

int
stats_open(int fd, struct stats **out_stats)
{
	struct stats *stats;
	struct stat st;
	int err;

	if (fstat(fd, &st) == -1)
		return -errno;
	if (st.st_size < (off_t)sizeof(struct stats_head) ||
	    st.st_size > MAX_BYTES)
		return -EPROTO;
	/* Sealed, or its owner could cut it and turn a read into SIGBUS. */
	err = memfd_check(fd, (size_t)st.st_size);
	if (err != 0)
		return err == -EBADMSG ? -EPROTO : err;
	stats = calloc(1, sizeof(*stats));
	if (stats == NULL)
		return -ENOMEM;
	stats->fd = -1;
	stats->len = (size_t)st.st_size;
	err = attach(stats, fd, false);
	if (err != 0) {
		stats_free(stats);
		return err;
	}
	*out_stats = stats;
	return 0;
}

void
stats_free(struct stats *stats)
{
	if (stats == NULL)
		return;
	if (stats->map != NULL)
		munmap(stats->map, stats->len);
	if (stats->fd >= 0)
		close(stats->fd);
	free(stats->rows);
	free(stats->text);
	free(stats);
}

int
stats_fd(const struct stats *stats)
{
	return stats->fd;
}

const char *
stats_program(const struct stats *stats)
{
	return stats->head.program;
}

uint32_t
stats_count(const struct stats *stats)
{
	return stats->head.rows;
}

struct stats_row
stats_row(const struct stats *stats, uint32_t index)
{
	BUG_ON(index >= stats->head.rows);
	return stats->rows[index];
}

int
stats_find(const struct stats *stats, const char *name)
{
	for (uint32_t i = 0; i < stats->head.rows; i++)
		if (strcmp(stats->rows[i].name, name) == 0)
			return (int)i;
	return -ENOENT;
}

static struct stats_block *
block_at(const struct stats *stats, uint32_t index)
{
	return (struct stats_block *)(void *)(stats->map +
	    stats->head.blocks_offset +
	    (size_t)stats->head.block_stride * index);
}

struct stats_block *
stats_block(struct stats *stats, uint32_t index)
{
	BUG_ON(index >= stats->head.blocks || stats->fd < 0);
	return block_at(stats, index);
}

uint64_t
stats_read(const struct stats *stats, uint32_t index)
{
	uint64_t sum = 0;

	BUG_ON(index >= stats->head.rows);
	for (uint32_t i = 0; i < stats->head.blocks; i++)
		sum += atomic_load_explicit(
		    &block_at(stats, i)->values[index], memory_order_relaxed);
	return sum;
}
