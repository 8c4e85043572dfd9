/* SPDX-License-Identifier: Apache-2.0 */

/*
 * secure - TLS as the configuration has it.
 *
 *	err = secure_server(&conf->http.tls, NULL, &tls, error, sizeof(error));
 *
 * Any thread; reads the files that the tls group names, with the rights of
 * this process.
 */

#ifndef WEIR_COMMON_SERVICE_SECURE_H
#define WEIR_COMMON_SERVICE_SECURE_H

#include <stddef.h>

#include "common/conf/conf.h"
#include "common/net/tls.h"

/* As tls_new_client() and tls_new_server(); a server's `conf` is enabled. */
int secure_client(const struct conf_tls *conf, struct tls **out_tls,
    char *error, size_t error_size);

/* `tickets` as in struct tls_settings. */
int secure_server(const struct conf_tls *conf, struct tls_tickets *tickets,
    struct tls **out_tls, char *error, size_t error_size);

#endif
