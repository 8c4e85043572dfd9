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
};

void certificates_begin(void);
void certificates_end(void);
void certificates_authority(const char *name);
void certificates_make(const struct certificate *certificate);

/* A file with these contents and mode. */
void certificates_file(const char *file, const char *text, unsigned mode);

/* In the folder; up to 32 results are valid at a time. */
const char *certificates_path(const char *file);

#endif
