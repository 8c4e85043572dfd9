/* SPDX-License-Identifier: Apache-2.0 */

/* The certificate that a client asked for by name [RFC 6066, 3]. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/net/tls_private.h"

void
tls_free_names(struct tls *tls)
{
	for (size_t i = 0; i < tls->name_count; i++) {
		free(tls->names[i].name);
		SSL_CTX_free(tls->names[i].holder);
	}
	free(tls->names);
}

/* "*.example" is any one label before ".example". */
static bool
is_meant(const char *pattern, const char *name)
{
	const char *dot;

	if (strncmp(pattern, "*.", 2) != 0)
		return strcasecmp(pattern, name) == 0;
	dot = strchr(name, '.');
	return dot != NULL && dot != name && strcasecmp(pattern + 1, dot) == 0;
}

/* A name that is spelled out goes before one with a star. */
static const struct tls_name_entry *
find(const struct tls *tls, const char *name)
{
	const struct tls_name_entry *found = NULL;

	for (size_t i = 0; i < tls->name_count; i++) {
		const struct tls_name_entry *entry = &tls->names[i];

		if (!is_meant(entry->name, name))
			continue;
		if (entry->name[0] != '*')
			return entry;
		if (found == NULL)
			found = entry;
	}
	return found;
}

/* Before the server shows one: the connection's own stays unless ... */
static int
choose(SSL *ssl, void *arg)
{
	const char *asked = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	const struct tls_name_entry *entry =
	    asked == NULL ? NULL : find(arg, asked);
	STACK_OF(X509) *chain = NULL;

	if (entry == NULL)
		return 1;
	SSL_CTX_get0_chain_certs(entry->holder, &chain);
	return SSL_use_cert_and_key(ssl,
	    SSL_CTX_get0_certificate(entry->holder),
	    SSL_CTX_get0_privatekey(entry->holder), chain, 1);
}

int
tls_load_names(struct tls_maker *m)
{
	const struct tls_settings *s = m->settings;
	struct tls *tls = m->tls;
	int err = 0;

	if (s->named_count == 0)
		return 0;
	tls->names = calloc(s->named_count, sizeof(struct tls_name_entry));
	if (tls->names == NULL)
		return tls_complain(m, -ENOMEM, "out of memory");
	for (size_t i = 0; i < s->named_count && err == 0; i++) {
		const struct tls_pair pair = { "sni: ", s->named[i].cert,
			s->named[i].key, s->named[i].key_password_file };
		struct tls_name_entry *entry = &tls->names[tls->name_count++];

		entry->name = strdup(s->named[i].name);
		entry->holder = SSL_CTX_new(TLS_server_method());
		if (entry->name == NULL || entry->holder == NULL)
			return tls_complain(m, -ENOMEM, "out of memory");
		err = tls_load_pair(m, entry->holder, &pair);
	}
	if (err == 0)
		SSL_CTX_set_cert_cb(tls->context, choose, tls);
	return err;
}
