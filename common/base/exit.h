/* SPDX-License-Identifier: Apache-2.0 */

/*
 * exit - the exit codes of all programs.
 *
 * systemd restarts a program on any of them but CONFIG and USAGE, which a
 * restart cannot mend.
 */

#ifndef WEIR_COMMON_BASE_EXIT_H
#define WEIR_COMMON_BASE_EXIT_H

enum exit_code {
	EXIT_OK = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 64,       /* wrong command line */
	EXIT_UNAVAILABLE = 69, /* the broker cannot be reached */
	EXIT_OSERR = 71,       /* cannot bind or open */
	EXIT_CONFIG = 78       /* wrong configuration */
};

#endif
