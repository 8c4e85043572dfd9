/* SPDX-License-Identifier: Apache-2.0 */

/*
 * https - the TLS of the HTTP interface, and what is said about it.
 *
 * SIGHUP makes it anew from its files.  Connections that are there go on with
 * what they began with; a certificate that cannot be used changes nothing.
 * The main thread.
 */

#ifndef WEIR_HTTPD_HTTPS_H
#define WEIR_HTTPD_HTTPS_H

#include "common/conf/conf.h"
#include "common/net/tls.h"

/*
 * Make it, at the start: *out_tls is NULL where http.tls is not there.
 * Returns 0, or -errno after it has been logged why.  Warns of an address
 * that others reach, without TLS, and of a certificate that ends soon.
 */
int https_open(const struct conf_http *http, struct tls **out_tls);

/*
 * Make it anew: *tls is replaced, or stays and the log says why.  Whether
 * there is TLS at all changes with a restart alone.
 */
void https_reload(const struct conf_http *http, struct tls **tls);

/*
 * Look at the files, for -t.  Returns 0, or -errno with a sentence in
 * `error`.
 */
int https_check(const struct conf_http *http, char *error, size_t error_size);

#endif
