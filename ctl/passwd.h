/* SPDX-License-Identifier: Apache-2.0 */

/*
 * passwd - the lines of an accounts_file, made and put in their places.
 *
 * The hash is argon2id (libsodium) of 19 MiB and two passes, about 20 ms of
 * weir-broker's time for each check of a password that it has not seen lately.
 */

#ifndef WEIR_CTL_PASSWD_H
#define WEIR_CTL_PASSWD_H

#include <stdbool.h>

#define PASSWD_NAME_MAX 255u      /* bytes of a name */
#define PASSWD_PASSWORD_MAX 1024u /* bytes of a password */

/* What is wrong with a name, a password, or scopes in words; NULL: nothing. */
const char *passwd_name_fault(const char *name);
const char *passwd_password_fault(const char *password);
const char *passwd_scopes_fault(const char *scopes);

/*
 * "name:hash" or "name:hash:scopes" on the heap; `scopes` may be NULL for all.
 * `with_scram`: with a verifier for SCRAM-SHA-256, and the scopes named.
 * 0, or -ENOMEM.  All three are without fault.
 */
int passwd_make_line(const char *name, const char *password, const char *scopes,
    bool with_scram, char **out_line);

/*
 * Put `line` in the place of the account's, or at the end, or take the
 * account out (`line` NULL).  Comments and other accounts stay as they are.
 * The file is replaced as a whole, 0600, with the owner that it had; there
 * need not be one.  *out_found: it had the account.
 * 0 or -errno; then nothing has changed.
 */
int passwd_edit(
    const char *path, const char *name, const char *line, bool *out_found);

#endif
