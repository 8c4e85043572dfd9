/* SPDX-License-Identifier: Apache-2.0 */

/*
 * steps - die at a chosen store into shared memory, in code that knows
 * nothing of it.
 *
 * The code under test is compiled with -fsanitize=thread and linked without
 * the sanitizer's runtime: the compiler calls the functions of this file
 * before each plain and atomic access.  Those that write to a file that is
 * mapped shared and writable are STEPS; so are the system calls that another
 * process can see.  memcpy() and memset() into such memory are two steps: one
 * before the first byte, one in the middle.
 *
 * Step k is taken before it has its effect: dying at each of 1..K leaves
 * behind every state that another process can find.
 *
 * A program that is not the test's own is told by its environment:
 * WEIR_DIE_PLAN names a file with a line "PROGRAM STEP".  The first process
 * of that name removes the file, and dies at that step.
 *
 * The linker wraps the calls (STEPS_WRAPPED in build.sh).  Any thread.
 */

#ifndef WEIR_TESTS_TORTURE_STEPS_H
#define WEIR_TESTS_TORTURE_STEPS_H

#include <stdint.h>

enum steps_kind {
	STEPS_PLAIN,  /* a store by an assignment */
	STEPS_ATOMIC, /* an atomic store or read-modify-write */
	STEPS_COPY,   /* memcpy, memset: before, and half-way */
	STEPS_MAP,    /* mmap, munmap of shared memory */
	STEPS_SPACE,  /* fallocate: growth, and holes */
	STEPS_SEND,   /* write, send, sendmsg: bells and the control socket */
	STEPS_KINDS,
};

extern const char *const steps_kind_names[STEPS_KINDS];

/* SIGKILL the process at step `step` from now on; 0: at none. */
void steps_die_at(uint64_t step);

/* Steps of each kind since the last steps_die_at(). */
uint64_t steps_taken(enum steps_kind kind);

#endif
