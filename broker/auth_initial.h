/* SPDX-License-Identifier: Apache-2.0 */

/*
 * auth_initial - the account that a first start makes.
 *
 * Weir has no default password.  Where there is no account at all, and HTTP
 * to be served, "admin" gets a random one: the file AUTH_INITIAL_FILE in
 * state_dir holds name:password for its owner alone to read, and the log says
 * so.  Later starts find the file.
 */

#ifndef WEIR_BROKER_AUTH_INITIAL_H
#define WEIR_BROKER_AUTH_INITIAL_H

#define AUTH_INITIAL_FILE "initial-account" /* in state_dir: name:password */

/*
 * The line of the file, which is made if there is none; to be given to
 * auth_initial_wipe().  0 or -errno; the reason has been logged.
 */
int auth_initial_line(const char *state_dir, char **out_line);

/* Free it, its bytes wiped.  Accepts NULL. */
void auth_initial_wipe(char *line);

#endif
