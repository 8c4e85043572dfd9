/* SPDX-License-Identifier: Apache-2.0 */

/*
 * auth_key - the secret that identity handles are made with.
 *
 * What httpd has put into the rings names its sender by a handle, and waits
 * there while the broker is killed and started again.  The next broker must
 * know these handles, so their key is kept in state_dir/identity-key, for the
 * broker alone to read.  Nothing else depends on it: whoever removes the file
 * makes all handles void, and the next start makes another.
 */

#ifndef WEIR_BROKER_AUTH_KEY_H
#define WEIR_BROKER_AUTH_KEY_H

#include <stdint.h>

#define AUTH_KEY_BYTES 32u
#define AUTH_KEY_FILE "identity-key" /* in state_dir */

/*
 * The key that is kept, or a new one, which is kept from now on.  A file
 * that is damaged or that others can read is replaced; that is logged.
 *
 * Returns 0, or -errno when it cannot be kept: the key is good for this life
 * of the broker then.  The reason has been logged.
 */
int auth_key_load(const char *state_dir, uint8_t out_key[AUTH_KEY_BYTES]);

#endif
