/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/torture/steps.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Shared writable mappings of one process: 64 links of 33 files, at most. */
#define MAPPINGS_MAX 4096u

const char *const steps_kind_names[STEPS_KINDS] = {
	[STEPS_PLAIN] = "plain stores",
	[STEPS_ATOMIC] = "atomic stores",
	[STEPS_COPY] = "copies, begun or half done",
	[STEPS_MAP] = "mappings",
	[STEPS_SPACE] = "allocations and holes",
	[STEPS_SEND] = "bells and messages",
};

/* An entry is free while `end` is 0, which is stored last, and first. */
struct mapping {
	_Atomic uintptr_t begin, end;
};

static struct mapping mappings[MAPPINGS_MAX];
static _Atomic unsigned mapping_count; /* entries ever used */
static _Atomic uintptr_t lowest = UINTPTR_MAX, highest;

static _Atomic uint64_t taken[STEPS_KINDS], total, die_at;

static bool
is_shared(const volatile void *address)
{
	uintptr_t at = (uintptr_t)address;
	unsigned count;

	if (at < lowest || at >= highest)
		return false;
	count = mapping_count;
	for (unsigned i = 0; i < count; i++) {
		if (at < mappings[i].end && at >= mappings[i].begin)
			return true;
	}
	return false;
}

/*
 * Relaxed, and no read-modify-write: a step must not be a fence that the code
 * under test forgot.  A count that two threads lose is one step later.
 */
static uint64_t
count(_Atomic uint64_t *counter)
{
	const uint64_t value =
	    atomic_load_explicit(counter, memory_order_relaxed) + 1;

	atomic_store_explicit(counter, value, memory_order_relaxed);
	return value;
}

static void
step(enum steps_kind kind)
{
	const uint64_t fatal =
	    atomic_load_explicit(&die_at, memory_order_relaxed);

	count(&taken[kind]);
	if (count(&total) < fatal || fatal == 0)
		return;
	kill(getpid(), SIGKILL);
	for (;;)
		pause();
}

static void
touch(enum steps_kind kind, const volatile void *address)
{
	if (is_shared(address))
		step(kind);
}

void
steps_die_at(uint64_t step_number)
{
	for (unsigned i = 0; i < STEPS_KINDS; i++)
		taken[i] = 0;
	total = 0;
	die_at = step_number;
}

uint64_t
steps_taken(enum steps_kind kind)
{
	return taken[kind];
}

/* ---- programs that are told by the environment ---------------------------
 */

static void __attribute__((constructor)) read_plan(void)
{
	const char *path = getenv("WEIR_DIE_PLAN");
	char program[64], line[128];
	unsigned long long number;
	FILE *file;

	file = path == NULL ? NULL : fopen(path, "r");
	if (file == NULL)
		return;
	if (fgets(line, sizeof(line), file) != NULL &&
	    sscanf(line, "%63s %llu", program, &number) == 2 &&
	    strcmp(program, program_invocation_short_name) == 0 &&
	    unlink(path) == 0)
		die_at = number;
	fclose(file);
}

/* ---- what is shared ------------------------------------------------------
 */

static void
add_mapping(uintptr_t begin, size_t length)
{
	unsigned i;

	for (i = 0; i < MAPPINGS_MAX && mappings[i].end != 0; i++)
		continue;
	if (i == MAPPINGS_MAX)
		abort();
	mappings[i].begin = begin;
	mappings[i].end = begin + length;
	if (i >= mapping_count)
		mapping_count = i + 1;
	if (begin < lowest)
		lowest = begin;
	if (begin + length > highest)
		highest = begin + length;
}

static void
remove_mapping(uintptr_t begin)
{
	for (unsigned i = 0; i < mapping_count; i++) {
		if (mappings[i].begin == begin)
			mappings[i].end = 0;
	}
}

/* Names that the linker gives. */
void *__real_mmap(void *, size_t, int, int, int, off_t);
int __real_munmap(void *, size_t);
void *__real_memcpy(void *, const void *, size_t);
void *__real_memset(void *, int, size_t);
int __real_fallocate(int, int, off_t, off_t);
ssize_t __real_write(int, const void *, size_t);
ssize_t __real_send(int, const void *, size_t, int);
ssize_t __real_sendmsg(int, const struct msghdr *, int);

void *__wrap_mmap(void *, size_t, int, int, int, off_t);
int __wrap_munmap(void *, size_t);
void *__wrap_memcpy(void *, const void *, size_t);
void *__wrap_memset(void *, int, size_t);
int __wrap_fallocate(int, int, off_t, off_t);
ssize_t __wrap_write(int, const void *, size_t);
ssize_t __wrap_send(int, const void *, size_t, int);
ssize_t __wrap_sendmsg(int, const struct msghdr *, int);

void *
__wrap_mmap(void *wanted, size_t length, int protection, int flags, int fd,
    off_t offset)
{
	const bool shares = fd != -1 && (flags & MAP_SHARED) != 0 &&
	    (protection & PROT_WRITE) != 0;
	void *map;

	if (shares)
		step(STEPS_MAP);
	map = __real_mmap(wanted, length, protection, flags, fd, offset);
	if (shares && map != MAP_FAILED)
		add_mapping((uintptr_t)map, length);
	return map;
}

int
__wrap_munmap(void *map, size_t length)
{
	touch(STEPS_MAP, map);
	remove_mapping((uintptr_t)map);
	return __real_munmap(map, length);
}

void *
__wrap_memcpy(void *to, const void *from, size_t length)
{
	size_t half = length / 2;

	if (!is_shared(to))
		return __real_memcpy(to, from, length);
	step(STEPS_COPY);
	__real_memcpy(to, from, half);
	step(STEPS_COPY);
	__real_memcpy(
	    (char *)to + half, (const char *)from + half, length - half);
	return to;
}

void *
__wrap_memset(void *to, int byte, size_t length)
{
	size_t half = length / 2;

	if (!is_shared(to))
		return __real_memset(to, byte, length);
	step(STEPS_COPY);
	__real_memset(to, byte, half);
	step(STEPS_COPY);
	__real_memset((char *)to + half, byte, length - half);
	return to;
}

int
__wrap_fallocate(int fd, int mode, off_t offset, off_t length)
{
	step(STEPS_SPACE);
	return __real_fallocate(fd, mode, offset, length);
}

/* Not the log, which no part of Weir reads. */
ssize_t
__wrap_write(int fd, const void *data, size_t length)
{
	if (fd != STDERR_FILENO)
		step(STEPS_SEND);
	return __real_write(fd, data, length);
}

ssize_t
__wrap_send(int fd, const void *data, size_t length, int flags)
{
	step(STEPS_SEND);
	return __real_send(fd, data, length, flags);
}

ssize_t
__wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
	step(STEPS_SEND);
	return __real_sendmsg(fd, message, flags);
}

/* ---- what the compiler calls ---------------------------------------------
 *
 * The names and types are those of the compilers.
 */

#pragma GCC diagnostic ignored "-Wmissing-prototypes"

void
__tsan_init(void)
{
}

void
__tsan_func_entry(void *caller)
{
	(void)caller;
}

void
__tsan_func_exit(void)
{
}

/* What the code under test says itself of locks without a lock. */
void
__tsan_acquire(void *address)
{
	(void)address;
}

void
__tsan_release(void *address)
{
	(void)address;
}

void
__tsan_read_range(void *address, unsigned long length)
{
	(void)address;
	(void)length;
}

void
__tsan_write_range(void *address, unsigned long length)
{
	(void)length;
	touch(STEPS_PLAIN, address);
}

void
__tsan_vptr_update(void **address, void *value)
{
	(void)value;
	touch(STEPS_PLAIN, address);
}

void
__tsan_vptr_read(void **address)
{
	(void)address;
}

#define PLAIN(name)                                                            \
	void __tsan_read##name(void *address)                                  \
	{                                                                      \
		(void)address;                                                 \
	}                                                                      \
	void __tsan_write##name(void *address)                                 \
	{                                                                      \
		touch(STEPS_PLAIN, address);                                   \
	}                                                                      \
	void __tsan_read_write##name(void *address)                            \
	{                                                                      \
		touch(STEPS_PLAIN, address);                                   \
	}                                                                      \
	void __tsan_volatile_read##name(void *address)                         \
	{                                                                      \
		(void)address;                                                 \
	}                                                                      \
	void __tsan_volatile_write##name(void *address)                        \
	{                                                                      \
		touch(STEPS_PLAIN, address);                                   \
	}                                                                      \
	void __tsan_unaligned_read##name(void *address)                        \
	{                                                                      \
		(void)address;                                                 \
	}                                                                      \
	void __tsan_unaligned_write##name(void *address)                       \
	{                                                                      \
		touch(STEPS_PLAIN, address);                                   \
	}                                                                      \
	void __tsan_unaligned_read_write##name(void *address)                  \
	{                                                                      \
		touch(STEPS_PLAIN, address);                                   \
	}

PLAIN(1)
PLAIN(2)
PLAIN(4)
PLAIN(8)
PLAIN(16)

/* The orders asked for are at most as strong as this one. */
#define FETCH(bits, type, operation)                                           \
	type __tsan_atomic##bits##_fetch_##operation(                          \
	    volatile type *at, type value, int order)                          \
	{                                                                      \
		(void)order;                                                   \
		touch(STEPS_ATOMIC, at);                                       \
		return __atomic_fetch_##operation(                             \
		    at, value, __ATOMIC_SEQ_CST);                              \
	}

#define COMPARE(bits, type, strength)                                          \
	int __tsan_atomic##bits##_compare_exchange_##strength(                 \
	    volatile type *at, type *expected, type value, int order,          \
	    int failure_order)                                                 \
	{                                                                      \
		(void)order;                                                   \
		(void)failure_order;                                           \
		touch(STEPS_ATOMIC, at);                                       \
		return __atomic_compare_exchange_n(at, expected, value, 0,     \
		    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);                       \
	}

#define ATOMIC(bits, type)                                                     \
	type __tsan_atomic##bits##_load(const volatile type *at, int order)    \
	{                                                                      \
		(void)order;                                                   \
		return __atomic_load_n(at, __ATOMIC_SEQ_CST);                  \
	}                                                                      \
	void __tsan_atomic##bits##_store(                                      \
	    volatile type *at, type value, int order)                          \
	{                                                                      \
		touch(STEPS_ATOMIC, at);                                       \
		if (order == __ATOMIC_SEQ_CST)                                 \
			__atomic_store_n(at, value, __ATOMIC_SEQ_CST);         \
		else                                                           \
			__atomic_store_n(at, value, __ATOMIC_RELEASE);         \
	}                                                                      \
	type __tsan_atomic##bits##_exchange(                                   \
	    volatile type *at, type value, int order)                          \
	{                                                                      \
		(void)order;                                                   \
		touch(STEPS_ATOMIC, at);                                       \
		return __atomic_exchange_n(at, value, __ATOMIC_SEQ_CST);       \
	}                                                                      \
	type __tsan_atomic##bits##_compare_exchange_val(volatile type *at,     \
	    type expected, type value, int order, int failure_order)           \
	{                                                                      \
		(void)order;                                                   \
		(void)failure_order;                                           \
		touch(STEPS_ATOMIC, at);                                       \
		__atomic_compare_exchange_n(at, &expected, value, 0,           \
		    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);                       \
		return expected;                                               \
	}                                                                      \
	FETCH(bits, type, add)                                                 \
	FETCH(bits, type, sub)                                                 \
	FETCH(bits, type, and)                                                 \
	FETCH(bits, type, or)                                                  \
	FETCH(bits, type, xor)                                                 \
	FETCH(bits, type, nand)                                                \
	COMPARE(bits, type, strong)                                            \
	COMPARE(bits, type, weak)

ATOMIC(8, uint8_t)
ATOMIC(16, uint16_t)
ATOMIC(32, uint32_t)
ATOMIC(64, uint64_t)

void
__tsan_atomic_thread_fence(int order)
{
	(void)order;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void
__tsan_atomic_signal_fence(int order)
{
	(void)order;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}
