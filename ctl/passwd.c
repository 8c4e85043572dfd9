/* SPDX-License-Identifier: Apache-2.0 */

#include "ctl/passwd.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/slice.h"
#include "common/base/utf8.h"
#include "common/conf/conf.h"
#include "common/net/scram_verifier.h"

#define HASH_PASSES 2
#define HASH_BYTES ((size_t)19 << 20)

static bool
has_controls(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return true;
	return false;
}

const char *
passwd_name_fault(const char *name)
{
	if (name[0] == '\0' || strlen(name) > PASSWD_NAME_MAX)
		return "a name has 1 to 255 bytes";
	if (strchr(name, ':') != NULL)
		return "a name has no colon: it ends there";
	if (name[0] == '#')
		return "a name does not begin with #: that is a comment";
	if (has_controls(name) || !utf8_is_valid(slice_of_string(name)))
		return "a name is UTF-8 without control characters";
	return NULL;
}

const char *
passwd_password_fault(const char *password)
{
	if (password[0] == '\0' || strlen(password) > PASSWD_PASSWORD_MAX)
		return "a password has 1 to 1024 bytes";
	if (has_controls(password))
		return "a password has no control characters: HTTP cannot "
		       "transport them";
	return NULL;
}

const char *
passwd_scopes_fault(const char *scopes)
{
	return conf_scopes_parse(scopes) == -1
	    ? "scopes are publish, read and manage, parted by commas"
	    : NULL;
}

static int
make_verifier(const char *password, char out[SCRAM_VERIFIER_TEXT_SIZE])
{
	struct scram_verifier verifier;
	uint8_t salt[SCRAM_SALT_BYTES];
	int err;

	randombytes_buf(salt, sizeof(salt));
	err = scram_verifier_make(slice_of_string(password),
	    slice_of(salt, sizeof(salt)), SCRAM_ITERATIONS, &verifier);
	if (err == 0)
		scram_verifier_print(&verifier, out);
	return err;
}

int
passwd_make_line(const char *name, const char *password, const char *scopes,
    bool with_scram, char **out_line)
{
	char hash[crypto_pwhash_STRBYTES];
	char verifier[SCRAM_VERIFIER_TEXT_SIZE] = "";

	if (sodium_init() < 0 ||
	    crypto_pwhash_str_alg(hash, password, strlen(password), HASH_PASSES,
		HASH_BYTES, crypto_pwhash_ALG_ARGON2ID13) != 0)
		return -ENOMEM;
	if (with_scram && make_verifier(password, verifier) != 0)
		return -ENOMEM;
	/* The verifier is behind the scopes, so there must be some. */
	if (scopes == NULL)
		scopes = with_scram ? "publish,read,manage" : "";
	if (asprintf(out_line, "%s:%s%s%s%s%s", name, hash,
		scopes[0] == '\0' ? "" : ":", scopes, with_scram ? ":" : "",
		verifier) == -1)
		return -ENOMEM;
	return 0;
}

/* ---- the file ------------------------------------------------------------ */

static bool
is_of(const char *line, const char *name)
{
	size_t length = strlen(name);

	return strncmp(line, name, length) == 0 && line[length] == ':';
}

/* Copy `in` (NULL: nothing) with the account's line exchanged. */
static int
copy_lines(
    FILE *in, FILE *out, const char *name, const char *line, bool *out_found)
{
	char *old = NULL;
	size_t size = 0;

	*out_found = false;
	while (in != NULL && getline(&old, &size, in) != -1) {
		old[strcspn(old, "\r\n")] = '\0';
		if (!is_of(old, name)) {
			fprintf(out, "%s\n", old);
			continue;
		}
		if (line != NULL && !*out_found)
			fprintf(out, "%s\n", line);
		*out_found = true;
	}
	free(old);
	if (line != NULL && !*out_found)
		fprintf(out, "%s\n", line);
	return (in != NULL && ferror(in)) || fflush(out) != 0 || ferror(out)
	    ? -EIO
	    : 0;
}

/* The new file belongs to whom the old one did, and is on the disk. */
static int
settle(FILE *out, FILE *in)
{
	struct stat was;

	if (in != NULL &&
	    (fstat(fileno(in), &was) == -1 ||
		fchown(fileno(out), was.st_uid, was.st_gid) == -1))
		return -errno;
	return fsync(fileno(out)) == -1 ? -errno : 0;
}

static int
write_draft(const char *draft, FILE *in, const char *name, const char *line,
    bool *out_found)
{
	FILE *out;
	int err, fd;

	fd = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd == -1)
		return -errno;
	out = fdopen(fd, "w");
	if (out == NULL) {
		err = -errno;
		close(fd);
		return err;
	}
	err = copy_lines(in, out, name, line, out_found);
	if (err == 0)
		err = settle(out, in);
	if (fclose(out) != 0 && err == 0)
		err = -EIO;
	return err;
}

static int
replace(const char *path, FILE *in, const char *name, const char *line,
    bool *out_found)
{
	char *draft;
	int err;

	if (asprintf(&draft, "%s.%ld", path, (long)getpid()) == -1)
		return -ENOMEM;
	err = write_draft(draft, in, name, line, out_found);
	if (err == 0 && rename(draft, path) == -1)
		err = -errno;
	if (err != 0 && err != -EEXIST)
		unlink(draft);
	free(draft);
	return err;
}

int
passwd_edit(
    const char *path, const char *name, const char *line, bool *out_found)
{
	FILE *in = fopen(path, "re");
	int err;

	if (in == NULL && errno != ENOENT)
		return -errno;
	if (in == NULL && line == NULL) {
		*out_found = false;
		return 0;
	}
	err = replace(path, in, name, line, out_found);
	if (in != NULL)
		fclose(in);
	return err;
}
