/* SPDX-License-Identifier: Apache-2.0 */

/*
 * bug - stop at once when our own code is wrong.
 *
 * BUG_ON() is for conditions that only a mistake in Weir can make true; what
 * a peer, a file or the kernel can cause is an error, never a bug.  It is
 * compiled into every build.  Any thread.
 */

#ifndef WEIR_COMMON_BASE_BUG_H
#define WEIR_COMMON_BASE_BUG_H

/* Print the condition and its place on stderr, then abort. */
_Noreturn void bug_abort(const char *condition, const char *file, int line);

/* The condition is evaluated exactly once and may not have side effects. */
#define BUG_ON(condition)                                                      \
	do {                                                                   \
		if (__builtin_expect(!!(condition), 0))                        \
			bug_abort(#condition, __FILE__, __LINE__);             \
	} while (0)

#endif
