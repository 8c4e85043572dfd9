/* SPDX-License-Identifier: Apache-2.0 */

/* What comes from files: secrets that nobody else may read, certificates. */

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/net/tls_private.h"

const char *
tls_reason(void)
{
	/* The system's comes first, and those that follow from it say less. */
	unsigned long first = ERR_peek_error();
	unsigned long code =
	    ERR_SYSTEM_ERROR(first) ? first : ERR_peek_last_error();
	const char *reason = ERR_reason_error_string(code);

	if (ERR_SYSTEM_ERROR(code))
		reason = strerror(ERR_GET_REASON(code));
	ERR_clear_error();
	return reason == NULL ? "unknown reason" : reason;
}

int
tls_complain(struct tls_maker *m, int err, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(m->error, m->error_size, format, arguments);
	va_end(arguments);
	return err;
}

/* All that is there, up to `max` and one byte more. */
static int
read_all(int fd, uint64_t max, char **out_text, size_t *out_len)
{
	size_t len = 0, size = 4096;
	char *text = malloc(size + 1), *more;
	ssize_t got = 1;

	while (text != NULL && got > 0 && len <= max) {
		if (len == size) {
			more = malloc(2 * size + 1);
			if (more != NULL)
				memcpy(more, text, len);
			tls_forget_secret(text, len);
			text = more;
			size *= 2;
			continue;
		}
		got = read(fd, text + len, size - len);
		len += got > 0 ? (size_t)got : 0;
	}
	if (text == NULL)
		return -ENOMEM;
	*out_text = text;
	*out_len = len;
	text[len] = '\0';
	if (got < 0)
		return -errno;
	return len == 0 ? -ENODATA : len > max ? -EFBIG : 0;
}

/* The mode is that of the open file: it cannot be exchanged in between. */
int
tls_read_secret(struct tls_maker *m, const char *setting, const char *path,
    uint64_t max, char **out_text, size_t *out_len)
{
	struct stat st;
	int err = 0, fd;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd == -1 || fstat(fd, &st) == -1)
		err = -errno;
	else if ((st.st_mode & 07) != 0)
		err = -EPERM;
	else
		err = read_all(fd, max, out_text, out_len);
	if (fd != -1)
		close(fd);
	if (err == 0)
		return 0;
	tls_forget_secret(*out_text, *out_len);
	*out_text = NULL;
	*out_len = 0;
	if (fd != -1 && err == -EPERM)
		return tls_complain(m, err,
		    "%s: %s may be read by others; chmod 0640 it or less",
		    setting, path);
	if (err == -EFBIG)
		return tls_complain(m, err,
		    "%s: %s is larger than the %llu KiB that are read", setting,
		    path, (unsigned long long)(max >> 10));
	return tls_complain(m, err, "%s: %s: %s", setting, path,
	    err == -ENODATA ? "is empty" : strerror(-err));
}

void
tls_forget_secret(char *text, size_t len)
{
	if (text != NULL)
		OPENSSL_cleanse(text, len);
	free(text);
}

/* OpenSSL would ask at the terminal. */
static int
give_password(char *into, int size, int writing, void *arg)
{
	const char *password = arg;
	int len;

	(void)writing;
	if (password == NULL)
		return -1;
	len = (int)strlen(password);
	if (len > size)
		return -1;
	memcpy(into, password, (size_t)len);
	return len;
}

static int
use_key(struct tls_maker *m, SSL_CTX *context, const struct tls_pair *pair,
    const char *text, size_t len, char *password)
{
	BIO *bio = BIO_new_mem_buf(text, (int)len);
	EVP_PKEY *key = NULL;
	int err = 0;

	if (bio != NULL)
		key =
		    PEM_read_bio_PrivateKey(bio, NULL, give_password, password);
	BIO_free(bio);
	if (key == NULL)
		return tls_complain(m, -EINVAL, "%skey: %s: %s%s", pair->prefix,
		    pair->key, tls_reason(),
		    password != NULL || strstr(text, "ENCRYPTED") == NULL
			? ""
			: "; it is encrypted: set key_password_file");
	if (SSL_CTX_use_PrivateKey(context, key) != 1)
		err = tls_complain(m, -EINVAL,
		    "%skey: %s: %s; it must belong to %s", pair->prefix,
		    pair->key, tls_reason(), pair->cert);
	EVP_PKEY_free(key);
	return err;
}

static int
load_key(struct tls_maker *m, SSL_CTX *context, const struct tls_pair *pair)
{
	char *text = NULL, *password = NULL;
	size_t len = 0, password_len = 0;
	char setting[40];
	int err;

	snprintf(setting, sizeof(setting), "%skey", pair->prefix);
	err = tls_read_secret(
	    m, setting, pair->key, TLS_SECRET_BYTES, &text, &len);
	snprintf(setting, sizeof(setting), "%skey_password_file", pair->prefix);
	if (err == 0 && pair->key_password_file != NULL)
		err = tls_read_secret(m, setting, pair->key_password_file,
		    TLS_SECRET_BYTES, &password, &password_len);
	if (password != NULL)
		password[strcspn(password, "\r\n")] = '\0';
	if (err == 0)
		err = use_key(m, context, pair, text, len, password);
	tls_forget_secret(text, len);
	tls_forget_secret(password, password_len);
	return err;
}

int
tls_load_pair(
    struct tls_maker *m, SSL_CTX *context, const struct tls_pair *pair)
{
	if (SSL_CTX_use_certificate_chain_file(context, pair->cert) != 1)
		return tls_complain(m, -EINVAL, "%scert: %s: %s", pair->prefix,
		    pair->cert, tls_reason());
	return load_key(m, context, pair);
}
