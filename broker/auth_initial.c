/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/auth_initial.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/conf/conf.h"

#define INITIAL_NAME "admin"
#define INITIAL_RANDOM_BYTES 15 /* 20 characters in base64 */
#define INITIAL_PASSWORD_SIZE                                                  \
	sodium_base64_ENCODED_LEN(                                             \
	    INITIAL_RANDOM_BYTES, sodium_base64_VARIANT_URLSAFE_NO_PADDING)

static int
write_whole(int fd, const char *text, size_t length)
{
	ssize_t n;

	n = write(fd, text, length);
	if (n == -1)
		return -errno;
	if ((size_t)n != length)
		return -ENOSPC;
	return fsync(fd) == -1 ? -errno : 0;
}

/* Make the file with a random password; *out_line is "name:password". */
static int
create_initial(const char *path, char **out_line)
{
	char password[INITIAL_PASSWORD_SIZE];
	uint8_t random[INITIAL_RANDOM_BYTES];
	char *line;
	int err, fd;

	randombytes_buf(random, sizeof(random));
	sodium_bin2base64(password, sizeof(password), random, sizeof(random),
	    sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	if (asprintf(&line, INITIAL_NAME ":%s\n", password) == -1)
		return -ENOMEM;

	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd == -1) {
		err = -errno;
		free(line);
		return err;
	}
	err = write_whole(fd, line, strlen(line));
	close(fd);
	if (err != 0) {
		unlink(path);
		free(line);
		return err;
	}
	line[strlen(line) - 1] = '\0';
	*out_line = line;
	log_info("initial_account_created",
	    "account=" INITIAL_NAME " path=%s hint=\"there were no accounts; "
	    "the file holds name:password\"",
	    log_quote(path));
	return 0;
}

static int
initial_line(const char *path, char **out_line)
{
	int err;

	err = create_initial(path, out_line);
	if (err != -EEXIST)
		return err;
	return conf_read_secret(path, out_line);
}

static int
find_line(const char *path, const char *state_dir, char **out_line)
{
	if (mkdir(state_dir, 0750) == -1 && errno != EEXIST)
		return -errno;
	return initial_line(path, out_line);
}

void
auth_initial_wipe(char *line)
{
	if (line != NULL)
		sodium_memzero(line, strlen(line));
	free(line);
}

int
auth_initial_line(const char *state_dir, char **out_line)
{
	char *path, *line = NULL;
	int err;

	if (asprintf(&path, "%s/" AUTH_INITIAL_FILE, state_dir) == -1)
		return -ENOMEM;
	err = find_line(path, state_dir, &line);
	if (err == 0 && strchr(line, ':') == NULL)
		err = -EBADMSG;
	if (err == 0) {
		*out_line = line;
		line = NULL;
	} else {
		log_error("initial_account_failed",
		    "path=%s error=%s hint=\"make state_dir writable, or set "
		    "accounts or accounts_file\"",
		    log_quote(path), log_quote(strerror(-err)));
	}
	auth_initial_wipe(line);
	free(path);
	return err;
}
