/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/auth_initial.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "broker/small_file.h"
#include "common/base/log.h"
#include "common/conf/conf.h"

#define INITIAL_NAME "admin"
#define INITIAL_RANDOM_BYTES 15 /* 20 characters in base64 */
#define INITIAL_PASSWORD_SIZE                                                  \
	sodium_base64_ENCODED_LEN(                                             \
	    INITIAL_RANDOM_BYTES, sodium_base64_VARIANT_URLSAFE_NO_PADDING)

/* Make the file with a random password; *out_line is "name:password". */
static int
create_initial(const char *path, char **out_line)
{
	char password[INITIAL_PASSWORD_SIZE];
	uint8_t random[INITIAL_RANDOM_BYTES];
	char *line;
	int err;

	randombytes_buf(random, sizeof(random));
	sodium_bin2base64(password, sizeof(password), random, sizeof(random),
	    sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	if (asprintf(&line, INITIAL_NAME ":%s\n", password) == -1)
		return -ENOMEM;
	err = small_file_replace(path, slice_of_string(line), 0600);
	if (err != 0) {
		auth_initial_wipe(line);
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
find_line(const char *path, const char *state_dir, char **out_line)
{
	int err;

	if (mkdir(state_dir, 0750) == -1 && errno != EEXIST)
		return -errno;
	err = conf_read_secret(path, out_line);
	return err == -ENOENT ? create_initial(path, out_line) : err;
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
