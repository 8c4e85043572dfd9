/* SPDX-License-Identifier: Apache-2.0 */

#include "common/service/secure.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

_Static_assert((int)CONF_TLS_1_2 == (int)TLS_VERSION_1_2 &&
	(int)CONF_TLS_1_3 == (int)TLS_VERSION_1_3,
    "one is cast to the other");

static struct tls_settings
settings_of(const struct conf_tls *conf)
{
	return (struct tls_settings){
		.ca_file = conf->ca_file,
		.ca_path = conf->ca_path,
		.cert = conf->cert,
		.key = conf->key,
		.key_password_file = conf->key_password_file,
		.ciphers = conf->ciphers,
		.alpn = conf->alpn,
		.psk_identity = conf->psk_identity,
		.psk_file = conf->psk_file,
		.insecure = conf->insecure,
		.min_version = (enum tls_version)conf->min_version,
		.client_cert_optional = conf->client_cert_optional,
		.crl_file = conf->crl_file,
		.crl_whole_chain = conf->crl_whole_chain,
	};
}

int
secure_client(const struct conf_tls *conf, struct tls **out_tls, char *error,
    size_t error_size)
{
	const struct tls_settings settings = settings_of(conf);

	return tls_new_client(&settings, out_tls, error, error_size);
}

int
secure_server(const struct conf_tls *conf, struct tls_tickets *tickets,
    struct tls **out_tls, char *error, size_t error_size)
{
	struct tls_settings settings = settings_of(conf);
	struct tls_named *named = calloc(conf->sni_count + 1, sizeof(*named));
	int err;

	if (named == NULL) {
		snprintf(error, error_size, "out of memory");
		return -ENOMEM;
	}
	for (size_t i = 0; i < conf->sni_count; i++)
		named[i] = (struct tls_named){
			.name = conf->sni[i].name,
			.cert = conf->sni[i].cert,
			.key = conf->sni[i].key,
			.key_password_file = conf->sni[i].key_password_file,
		};
	settings.named = named;
	settings.named_count = conf->sni_count;
	settings.tickets = tickets;
	err = tls_new_server(&settings, out_tls, error, error_size);
	free(named);
	return err;
}
