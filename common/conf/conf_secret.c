/* SPDX-License-Identifier: Apache-2.0 */

/* Files with secrets in them: the accounts, and a bridge's password. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/conf/conf_table.h"

#define MAX_SECRET_BYTES 65536

static const char hash_prefix[] = "$argon2id$";
static const char scram_prefix[] = "$scram-sha-256$";

/*
 * Open a file that must be readable by its owner alone (`forbidden` are the
 * mode bits that may not be set).  The mode is that of the open file, so it
 * cannot be exchanged in between.
 */
static int
open_secret(const char *path, mode_t forbidden, FILE **out_file)
{
	struct stat st;
	FILE *file;
	int err, fd;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd == -1)
		return -errno;
	err = fstat(fd, &st) == -1          ? -errno
	    : S_ISDIR(st.st_mode)           ? -EISDIR
	    : (st.st_mode & forbidden) != 0 ? -EPERM
					    : 0;
	file = err == 0 ? fdopen(fd, "r") : NULL;
	if (file == NULL) {
		err = err == 0 ? -errno : err;
		close(fd);
		return err;
	}
	*out_file = file;
	return 0;
}

/* The state of one conf_read_accounts(). */
struct account_reader {
	const char *path;
	FILE *errors;
	unsigned line;
	unsigned mistakes;
	struct conf_account *accounts;
	size_t count;
	size_t room;
};

static void
bad_account(struct account_reader *r, const char *what)
{
	fprintf(r->errors, "%s:%u: %s\n", r->path, r->line, what);
	r->mistakes++;
}

/* Every account of the file has these, unless `access` says otherwise. */
static int
allow_all(struct conf_strings *filters)
{
	filters->list = calloc(1, sizeof(char *));
	if (filters->list == NULL)
		return -ENOMEM;
	filters->list[0] = strdup("#");
	if (filters->list[0] == NULL)
		return -ENOMEM;
	filters->count = 1;
	return 0;
}

static int
add_account(struct account_reader *r, const char *name, const char *hash,
    uint8_t scopes, const char *scram)
{
	struct conf_account account = { .line = r->line, .scopes = scopes };
	int err;
	struct conf_account *more;

	if (r->count == r->room) {
		r->room = r->room * 2 + 16;
		more = reallocarray(r->accounts, r->room, sizeof(*more));
		if (more == NULL)
			return -ENOMEM;
		r->accounts = more;
	}
	account.name = strdup(name);
	account.hash = strdup(hash);
	account.scram = scram == NULL ? NULL : strdup(scram);
	err = allow_all(&account.publish);
	if (err == 0)
		err = allow_all(&account.subscribe);
	/* Even half built: conf_free_accounts() will see to it. */
	r->accounts[r->count++] = account;
	return account.name == NULL || account.hash == NULL ||
		(scram != NULL && account.scram == NULL)
	    ? -ENOMEM
	    : err;
}

/* What is behind the next colon, which ends `text`; NULL: nothing is. */
static char *
take_field(char *text)
{
	char *colon = strchr(text, ':');

	if (colon == NULL)
		return NULL;
	*colon = '\0';
	return colon + 1;
}

static int
read_account_line(struct account_reader *r, char *line)
{
	char *colon, *words, *scram = NULL;
	int scopes = CONF_SCOPES_ALL;

	line[strcspn(line, "\r\n")] = '\0';
	if (line[0] == '\0' || line[0] == '#')
		return 0;
	colon = strchr(line, ':');
	if (colon == NULL || colon == line) {
		bad_account(r,
		    "not a line of name:hash, name:hash:scopes or "
		    "name:hash:scopes:verifier");
		return 0;
	}
	*colon = '\0';
	if (strncmp(colon + 1, hash_prefix, strlen(hash_prefix)) != 0 &&
	    strcmp(colon + 1, CONF_NO_PASSWORD) != 0 &&
	    strncmp(colon + 1, CONF_NO_PASSWORD ":", 2) != 0) {
		bad_account(r,
		    "the hash must be of argon2id and begin with "
		    "$argon2id$, or be * for no password");
		return 0;
	}
	words = take_field(colon + 1);
	if (words != NULL) {
		scram = take_field(words);
		scopes = conf_scopes_parse(words);
	}
	if (scopes == -1) {
		bad_account(r,
		    "scopes are words parted by commas or blanks; allowed: "
		    "publish, read, manage");
		return 0;
	}
	if (scram != NULL &&
	    strncmp(scram, scram_prefix, strlen(scram_prefix)) != 0) {
		bad_account(r,
		    "behind the scopes is a verifier that begins with "
		    "$scram-sha-256$, or nothing");
		return 0;
	}
	for (size_t i = 0; i < r->count; i++)
		if (strcmp(r->accounts[i].name, line) == 0) {
			bad_account(r,
			    "this account is in the file already; "
			    "each name must differ");
			return 0;
		}
	return add_account(r, line, colon + 1, (uint8_t)scopes, scram);
}

static int
read_accounts(struct account_reader *r, FILE *file)
{
	char *line = NULL;
	size_t size = 0;
	int err = 0;

	while (err == 0 && getline(&line, &size, file) != -1) {
		r->line++;
		err = read_account_line(r, line);
	}
	if (err == 0 && ferror(file))
		err = -EIO;
	if (line != NULL)
		explicit_bzero(line, size);
	free(line);
	return err;
}

int
conf_read_accounts(const char *path, struct conf_account **out_accounts,
    size_t *out_count, FILE *errors)
{
	struct account_reader r = { .path = path, .errors = errors };
	FILE *file;
	int err;

	err = open_secret(path, 077, &file);
	if (err != 0) {
		fprintf(errors, "%s: cannot open: %s\n", path,
		    err == -EPERM ? "group or others may read it; chmod 0600 it"
				  : strerror(-err));
		return err;
	}
	err = read_accounts(&r, file);
	fclose(file);
	if (err == 0 && r.mistakes > 0)
		err = -EINVAL;
	if (err != 0) {
		conf_free_accounts(r.accounts, r.count);
		return err;
	}
	*out_accounts = r.accounts;
	*out_count = r.count;
	return 0;
}

void
conf_free_accounts(struct conf_account *accounts, size_t count)
{
	for (size_t i = 0; accounts != NULL && i < count; i++) {
		free(accounts[i].name);
		free(accounts[i].password);
		free(accounts[i].hash);
		free(accounts[i].scram);
		conf_clear_strings(&accounts[i].publish);
		conf_clear_strings(&accounts[i].subscribe);
	}
	free(accounts);
}

int
conf_read_secret(const char *path, char **out_secret)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t len;
	FILE *file;
	int err;

	/* Group may read: that is how a service gets at root's files. */
	err = open_secret(path, 07, &file);
	if (err != 0)
		return err;
	len = getline(&line, &size, file);
	err = len == -1 && ferror(file) ? -EIO : 0;
	fclose(file);
	if (err == 0 && (len <= 0 || line[0] == '\n'))
		err = -ENODATA;
	if (err == 0 && len > MAX_SECRET_BYTES)
		err = -EFBIG;
	if (err != 0) {
		free(line);
		return err;
	}
	line[strcspn(line, "\r\n")] = '\0';
	*out_secret = line;
	return 0;
}
