/* SPDX-License-Identifier: Apache-2.0 */

/*
 * child_exec - start one program as systemd would: environment, descriptors.
 */

#ifndef WEIR_CTL_CHILD_EXEC_H
#define WEIR_CTL_CHILD_EXEC_H

#include <stdint.h>
#include <sys/types.h>

#include "ctl/notify.h"

struct child_exec {
	const char *const *argv;    /* argv[0]: the path; ends with NULL */
	const char *notify_address; /* NOTIFY_SOCKET */
	uint64_t watchdog_ns;       /* WATCHDOG_USEC */
	int output_fd;              /* becomes stdout and stderr */
	const struct notify_store *store; /* inherited from descriptor 3 on */
};

/*
 * The child leads a process group of its own, so that Ctrl-C reaches only
 * the supervisor, and gets SIGTERM if the supervisor dies.
 * Returns 0 with its pid, or -errno (also when it cannot be executed).
 */
int child_exec_start(const struct child_exec *exec, pid_t *out_pid);

#endif
