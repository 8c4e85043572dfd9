/* SPDX-License-Identifier: Apache-2.0 */

#include "common/base/thread.h"

#include <signal.h>

int
thread_start(pthread_t *out_thread, void *(*run)(void *arg), void *arg)
{
	sigset_t all, before;
	int err;

	/* A thread begins with the mask of who starts it. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(out_thread, NULL, run, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -err;
}
