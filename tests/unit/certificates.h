/* SPDX-License-Identifier: Apache-2.0 */

/*
 * certificates - authorities and certificates made on the spot, for tests.
 *
 *	certificates_begin();			a folder of its own
 *	certificates_authority("ca");		ca.pem
 *	certificates_make(&(struct certificate){ .name = "server",
 *	    .issuer = "ca", .names = "DNS:localhost,IP:127.0.0.1" });
 *						server.pem, server.key
 *	certificates_path("server.pem")
 *	certificates_end();
 */

#ifndef WEIR_TESTS_UNIT_CERTIFICATES_H
#define WEIR_TESTS_UNIT_CERTIFICATES_H

#include <stdbool.h>

struct certificate {
	const char *name;   /* of its files, and its common name */
	const char *issuer; /* an authority's name; NULL: signed by itself */
	const char *names;  /* subjectAltName as OpenSSL writes it, or NULL */
	long from_s, to_s;  /* from now; 0 and 0: an hour around it */
	bool is_authority;
	const char *password; /* of the key's file, or NULL */
	/* Of the subject, before its common name; or NULL. */
	const char *organization;
	/* Common name, in the place of `name`; cn_len 0: up to its NUL. */
	const char *cn;
	int cn_len;
};

void certificates_begin(void);
void certificates_end(void);
void certificates_authority(const char *name);
void certificates_make(const struct certificate *certificate);

/*
 * A list of revoked certificates, signed by that authority: those of `names`,
 * which NULL ends.  It is to be believed for `to_s` seconds from now on.
 */
void certificates_crl(
    const char *file, const char *issuer, const char *const *names, long to_s);

/* A file with these contents and mode. */
void certificates_file(const char *file, const char *text, unsigned mode);

/* In the folder; up to 32 results are valid at a time. */
const char *certificates_path(const char *file);

#endif
