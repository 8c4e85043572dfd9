/* SPDX-License-Identifier: Apache-2.0 */

/*
 * sandbox - calls that no Weir program makes are refused by the kernel.
 *
 * A deny list: a refused call returns EPERM, so a library that tries one
 * copes instead of dying.  It is what remains when a peer takes a process
 * over; systemd's own filters come on top.
 */

#ifndef WEIR_COMMON_SERVICE_SANDBOX_H
#define WEIR_COMMON_SERVICE_SANDBOX_H

#include <stdbool.h>

/*
 * Enter it, for all threads of the process and for ever.  Starting programs
 * is refused too unless `may_exec`.
 * Returns 0; -ENOTSUP in sanitizer builds, under valgrind, with
 * WEIR_SANDBOX=0 in the environment, or on a kernel without it: nothing is
 * done then; -errno.
 */
int sandbox_enter(bool may_exec);

#endif
