/* SPDX-License-Identifier: Apache-2.0 */

/*
 * thread - start one that is never interrupted: signals are the main thread's.
 */

#ifndef WEIR_COMMON_BASE_THREAD_H
#define WEIR_COMMON_BASE_THREAD_H

#include <pthread.h>

/* As pthread_create(), with all signals blocked.  0 or -errno. */
int thread_start(pthread_t *out_thread, void *(*run)(void *arg), void *arg);

#endif
