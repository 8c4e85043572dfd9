/* SPDX-License-Identifier: Apache-2.0 */

/*
 * stats - counters in shared memory that any process can read at any time.
 *
 * A program lists its counters once, in a *.def table:
 *
 *	STAT(COUNTER, messages_in, "Messages received from clients.")
 *	STAT(GAUGE, sessions, "Sessions that exist.")
 *
 * includes it to make an enum (STATS_ENUM) and rows (STATS_ROW), and gives
 * each thread a block of its own.  A block has one writer, so counting is a
 * plain add; readers sum the blocks.  Names and help travel in the memory
 * itself: weirctl reads a program's counters without knowing its table, also
 * when the program hangs or is dead.
 *
 *	offset  size  field
 *	     0     8  magic
 *	     8     4  abi
 *	    12     4  rows
 *	    16     4  blocks
 *	    20     4  block_stride        bytes, a multiple of 64
 *	    24     4  blocks_offset       a multiple of 64
 *	    28     4  text_len            bytes of names and help
 *	    32    32  program             NUL-padded
 *	    64     -  text: per row kind ("c" or "g"), name NUL, help NUL
 *	     -     -  blocks: rows x u64 each
 */

#ifndef WEIR_COMMON_STATS_STATS_H
#define WEIR_COMMON_STATS_STATS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define STATS_MAGIC UINT64_C(0x3153544154534557) /* "WESTATS1" */
#define STATS_ABI 1
#define STATS_PROGRAM_SIZE 32

/* What a reader accepts; a table of ours is far smaller. */
#define STATS_MAX_ROWS 4096
#define STATS_MAX_BLOCKS 256

enum stats_kind {
	STATS_COUNTER, /* only ever rises */
	STATS_GAUGE    /* goes up and down */
};

struct stats_row {
	enum stats_kind kind;
	const char *name; /* [a-z0-9_]+ */
	const char *help; /* one sentence */
};

/* #define STAT(kind, name, help) STATS_ROW(kind, name, help) */
#define STATS_ROW(kind, name, help) { STATS_##kind, #name, help },

struct stats;

/* One thread's numbers; index it by the enum made from the same table. */
struct stats_block {
	_Atomic uint64_t values[1]; /* as many as there are rows */
};

/*
 * Create the memory for `rows` and `blocks` writers, all zero.  `program` is
 * cut to fit.  The rows are copied.
 * Returns 0 or -errno.
 */
int stats_create(const char *program, const struct stats_row *rows,
    uint32_t count, uint32_t blocks, struct stats **out_stats);

/*
 * Map another process's memory read-only.  The content is checked like any
 * input: -EPROTO when it is not a stats page or cannot be true.  `fd` stays
 * the caller's.
 */
int stats_open(int fd, struct stats **out_stats);

/* Unmap, and close the memory if this process created it.  Accepts NULL. */
void stats_free(struct stats *stats);

/* The memfd of stats_create(); it stays ours.  -1 for a reader. */
int stats_fd(const struct stats *stats);

const char *stats_program(const struct stats *stats);
uint32_t stats_count(const struct stats *stats);

/* The row, with strings that live as long as `stats`. */
struct stats_row stats_row(const struct stats *stats, uint32_t index);

/* Index of a name, or -ENOENT. */
int stats_find(const struct stats *stats, const char *name);

/* The block of writer `index`; creators only. */
struct stats_block *stats_block(struct stats *stats, uint32_t index);

/* The sum over all blocks, as of now (relaxed). */
uint64_t stats_read(const struct stats *stats, uint32_t index);

/*
 * Counting.  Only the block's own thread calls these: a load and a store,
 * no locked instruction.  Relaxed: a reader wants a recent number, not an
 * order between numbers.
 */
static inline void
stats_add(struct stats_block *block, uint32_t index, uint64_t n)
{
	uint64_t value;

	value =
	    atomic_load_explicit(&block->values[index], memory_order_relaxed);
	atomic_store_explicit(
	    &block->values[index], value + n, memory_order_relaxed);
}

static inline void
stats_subtract(struct stats_block *block, uint32_t index, uint64_t n)
{
	stats_add(block, index, UINT64_C(0) - n);
}

static inline void
stats_increment(struct stats_block *block, uint32_t index)
{
	stats_add(block, index, 1);
}

static inline void
stats_set(struct stats_block *block, uint32_t index, uint64_t value)
{
	atomic_store_explicit(
	    &block->values[index], value, memory_order_relaxed);
}

/*
 * Prometheus text (format 0.0.4).  A family is announced once, then has any
 * number of samples; `labels` is NULL or `name="value",...` whose values went
 * through stats_prometheus_label().
 */
void stats_prometheus_family(
    FILE *out, const char *name, const char *help, enum stats_kind kind);
void stats_prometheus_sample(
    FILE *out, const char *name, const char *labels, uint64_t value);

/* Both of the above: one number without a label. */
void stats_prometheus(FILE *out, const char *name, const char *help,
    enum stats_kind kind, uint64_t value);

/* Append `name="value"` with the value escaped. */
void stats_prometheus_label(FILE *out, const char *name, const char *value);

/* Every row as PREFIX_NAME, counters with _total; NAME_ns as _seconds. */
void stats_prometheus_all(
    FILE *out, const char *prefix, const struct stats *stats);

#endif
