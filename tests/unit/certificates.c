/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/unit/certificates.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/unit.h"

#define PATHS 32

static char folder[] = "/tmp/weir-certificates.XXXXXX";
static long serial = 1;

const char *
certificates_path(const char *file)
{
	static char paths[PATHS][128];
	static unsigned next;
	char *path = paths[next++ % PATHS];

	snprintf(path, sizeof(paths[0]), "%s/%s", folder, file);
	return path;
}

static const char *
with_ending(const char *name, const char *ending)
{
	char file[64];

	snprintf(file, sizeof(file), "%s%s", name, ending);
	return certificates_path(file);
}

void
certificates_begin(void)
{
	strcpy(folder + strlen(folder) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
}

void
certificates_end(void)
{
	char command[160];

	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	ck_assert_int_eq(system(command), 0);
}

void
certificates_file(const char *file, const char *text, unsigned mode)
{
	const char *path = certificates_path(file);
	FILE *out = fopen(path, "w");

	ck_assert_ptr_nonnull(out);
	fputs(text, out);
	ck_assert_int_eq(fclose(out), 0);
	ck_assert_int_eq(chmod(path, mode), 0);
}

static FILE *
create(const char *name, const char *ending)
{
	const char *path = with_ending(name, ending);
	FILE *out;

	unlink(path);
	out = fopen(path, "w");
	ck_assert_ptr_nonnull(out);
	ck_assert_int_eq(chmod(path, 0600), 0);
	return out;
}

static void
extend(X509 *cert, int nid, const char *value)
{
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	ck_assert_ptr_nonnull(extension);
	ck_assert_int_eq(X509_add_ext(cert, extension, -1), 1);
	X509_EXTENSION_free(extension);
}

static void
add_to_subject(X509 *cert, const char *type, const char *text, int len)
{
	ck_assert_int_eq(
	    X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), type,
		MBSTRING_UTF8, (const unsigned char *)text, len, -1, 0),
	    1);
}

static X509 *
new_certificate(const struct certificate *c, EVP_PKEY *key)
{
	bool is_timed = c->from_s != 0 || c->to_s != 0;
	X509 *cert = X509_new();

	ck_assert_ptr_nonnull(cert);
	X509_set_version(cert, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), serial++);
	X509_gmtime_adj(
	    X509_getm_notBefore(cert), is_timed ? c->from_s : -3600);
	X509_gmtime_adj(X509_getm_notAfter(cert), is_timed ? c->to_s : 3600);
	X509_set_pubkey(cert, key);
	if (c->organization != NULL)
		add_to_subject(cert, "O", c->organization, -1);
	if (c->cn == NULL)
		add_to_subject(cert, "CN", c->name, -1);
	else
		add_to_subject(
		    cert, "CN", c->cn, c->cn_len == 0 ? -1 : c->cn_len);
	if (c->is_authority)
		extend(cert, NID_basic_constraints, "critical,CA:TRUE");
	if (c->names != NULL)
		extend(cert, NID_subject_alt_name, c->names);
	return cert;
}

static X509 *
read_certificate(const char *name)
{
	FILE *in = fopen(with_ending(name, ".pem"), "r");
	X509 *cert;

	ck_assert_ptr_nonnull(in);
	cert = PEM_read_X509(in, NULL, NULL, NULL);
	fclose(in);
	ck_assert_ptr_nonnull(cert);
	return cert;
}

static EVP_PKEY *
read_key(const char *name)
{
	FILE *in = fopen(with_ending(name, ".key"), "r");
	EVP_PKEY *key;

	ck_assert_ptr_nonnull(in);
	key = PEM_read_PrivateKey(in, NULL, NULL, NULL);
	fclose(in);
	ck_assert_ptr_nonnull(key);
	return key;
}

/* The authority's certificate and key, or our own. */
static void
sign(X509 *cert, EVP_PKEY *own, const char *issuer)
{
	EVP_PKEY *key = own;
	X509 *by = cert;

	if (issuer != NULL) {
		by = read_certificate(issuer);
		key = read_key(issuer);
	}
	X509_set_issuer_name(cert, X509_get_subject_name(by));
	ck_assert_int_ne(X509_sign(cert, key, EVP_sha256()), 0);
	if (issuer != NULL) {
		X509_free(by);
		EVP_PKEY_free(key);
	}
}

void
certificates_make(const struct certificate *c)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = new_certificate(c, key);
	FILE *out;

	sign(cert, key, c->issuer);
	out = create(c->name, ".pem");
	ck_assert_int_eq(PEM_write_X509(out, cert), 1);
	fclose(out);
	out = create(c->name, ".key");
	ck_assert_int_eq(
	    PEM_write_PrivateKey(out, key,
		c->password == NULL ? NULL : EVP_aes_128_cbc(),
		(const unsigned char *)c->password,
		c->password == NULL ? 0 : (int)strlen(c->password), NULL, NULL),
	    1);
	fclose(out);
	X509_free(cert);
	EVP_PKEY_free(key);
}

void
certificates_authority(const char *name)
{
	certificates_make(
	    &(struct certificate){ .name = name, .is_authority = true });
}

static void
put_revoked(X509_CRL *crl, const char *name)
{
	X509_REVOKED *entry = X509_REVOKED_new();
	X509 *cert = read_certificate(name);
	ASN1_TIME *now = X509_gmtime_adj(NULL, -60);

	X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(cert));
	X509_REVOKED_set_revocationDate(entry, now);
	ck_assert_int_eq(X509_CRL_add0_revoked(crl, entry), 1);
	ASN1_TIME_free(now);
	X509_free(cert);
}

void
certificates_crl(
    const char *file, const char *issuer, const char *const *names, long to_s)
{
	X509_CRL *crl = X509_CRL_new();
	X509 *by = read_certificate(issuer);
	EVP_PKEY *key = read_key(issuer);
	ASN1_TIME *from = X509_gmtime_adj(NULL, -7200);
	ASN1_TIME *to = X509_gmtime_adj(NULL, to_s);
	FILE *out;

	X509_CRL_set_version(crl, X509_CRL_VERSION_2);
	X509_CRL_set_issuer_name(crl, X509_get_subject_name(by));
	X509_CRL_set1_lastUpdate(crl, from);
	X509_CRL_set1_nextUpdate(crl, to);
	for (; *names != NULL; names++)
		put_revoked(crl, *names);
	X509_CRL_sort(crl);
	ck_assert_int_ne(X509_CRL_sign(crl, key, EVP_sha256()), 0);
	out = create(file, "");
	ck_assert_int_eq(PEM_write_X509_CRL(out, crl), 1);
	fclose(out);
	ASN1_TIME_free(from);
	ASN1_TIME_free(to);
	EVP_PKEY_free(key);
	X509_free(by);
	X509_CRL_free(crl);
}
