/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/auth_key.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/small_file.h"
#include "common/base/log.h"

/* The mode and length are those of the open file. */
static int
read_key(int fd, uint8_t out_key[AUTH_KEY_BYTES])
{
	uint8_t bytes[AUTH_KEY_BYTES + 1];
	struct stat st;
	ssize_t length;

	if (fstat(fd, &st) == -1)
		return -errno;
	if ((st.st_mode & 077) != 0)
		return -EPERM;
	length = read(fd, bytes, sizeof(bytes));
	if (length == -1)
		return -errno;
	if (length != (ssize_t)AUTH_KEY_BYTES)
		return -EBADMSG;
	memcpy(out_key, bytes, AUTH_KEY_BYTES);
	sodium_memzero(bytes, sizeof(bytes));
	return 0;
}

static int
find_key(const char *path, uint8_t out_key[AUTH_KEY_BYTES])
{
	int err, fd;

	fd = open(
	    path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd == -1)
		return -errno;
	err = read_key(fd, out_key);
	close(fd);
	return err;
}

static int
load(const char *path, uint8_t out_key[AUTH_KEY_BYTES])
{
	int err;

	err = find_key(path, out_key);
	if (err == 0)
		return 0;
	if (err != -ENOENT)
		log_warning("identity_key_replaced", "path=%s error=%s",
		    log_quote(path), log_quote(strerror(-err)));
	return small_file_replace(
	    path, slice_of(out_key, AUTH_KEY_BYTES), 0600);
}

int
auth_key_load(const char *state_dir, uint8_t out_key[AUTH_KEY_BYTES])
{
	char *path = NULL;
	int err = 0;

	randombytes_buf(out_key, AUTH_KEY_BYTES);
	if (mkdir(state_dir, 0750) == -1 && errno != EEXIST)
		err = -errno;
	else if (asprintf(&path, "%s/" AUTH_KEY_FILE, state_dir) == -1)
		err = -ENOMEM;
	else
		err = load(path, out_key);
	if (err != 0)
		log_warning("identity_key_not_kept",
		    "path=%s error=%s hint=\"make state_dir writable: HTTP "
		    "requests that wait while the broker is restarted are "
		    "refused with 401 otherwise, and the salts of SCRAM tell "
		    "which accounts there are\"",
		    log_quote(path == NULL ? state_dir : path),
		    log_quote(strerror(-err)));
	free(path);
	return err;
}
