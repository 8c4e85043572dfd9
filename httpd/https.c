/* SPDX-License-Identifier: Apache-2.0 */

#include "httpd/https.h"

#include "common/base/log.h"
#include "common/base/parse.h"
#include "common/service/secure.h"

/* A certificate that ends within so many days is spoken of. */
#define SOON_DAYS 14

static const char plain_answer[] =
    "HTTP/1.1 400 Bad Request\r\n"
    "Content-Type: application/json\r\n"
    "Content-Length: 65\r\n"
    "Connection: close\r\n"
    "\r\n"
    "{\"code\":400,\"message\":\"this port speaks HTTPS: use https://...\"}\n";

static int
make(const struct conf_http *http, struct tls **out_tls, char *error,
    size_t error_size)
{
	int err;

	err = secure_server(&http->tls, NULL, out_tls, error, error_size);
	if (err == 0)
		tls_set_plain_answer(*out_tls, plain_answer);
	return err;
}

static void
tell(const struct conf_http *http, const struct tls *tls)
{
	int64_t days = 0;

	tls_days_left(tls, &days);
	if (days < SOON_DAYS)
		log_warning("certificate_ends",
		    "setting=http.tls.cert path=%s days_left=%lld note=\"renew "
		    "it, then send SIGHUP\"",
		    log_quote(http->tls.cert), (long long)days);
	else
		log_info("certificate_loaded",
		    "setting=http.tls.cert path=%s days_left=%lld",
		    log_quote(http->tls.cert), (long long)days);
}

static void
warn_of_plain(const struct conf_http *http)
{
	struct host_port address;

	if (parse_host_port(http->bind, &address) == 0 &&
	    !parse_is_loopback(address.host))
		log_warning("http_unprotected",
		    "address=%s note=\"passwords cross the network in the "
		    "clear; set http.tls, or bind to 127.0.0.1 behind a proxy "
		    "that speaks HTTPS\"",
		    log_quote(http->bind));
}

int
https_open(const struct conf_http *http, struct tls **out_tls)
{
	char error[TLS_ERROR_SIZE];
	int err;

	*out_tls = NULL;
	if (!http->tls.enabled) {
		warn_of_plain(http);
		return 0;
	}
	err = make(http, out_tls, error, sizeof(error));
	if (err != 0)
		log_error("certificate_failed", "setting=http.tls reason=%s",
		    log_quote(error));
	else
		tell(http, *out_tls);
	return err;
}

void
https_reload(const struct conf_http *http, struct tls **tls)
{
	char error[TLS_ERROR_SIZE];
	struct tls *fresh;

	if (http->tls.enabled != (*tls != NULL)) {
		log_warning("reload_partial",
		    "reason=\"http.tls has come or gone: this takes effect "
		    "when weir-httpd is restarted\"");
		return;
	}
	if (*tls == NULL)
		return;
	if (make(http, &fresh, error, sizeof(error)) != 0) {
		log_error("certificate_kept",
		    "setting=http.tls reason=%s note=\"the old one stays in "
		    "use\"",
		    log_quote(error));
		return;
	}
	tls_put(*tls);
	*tls = fresh;
	tell(http, fresh);
}

int
https_check(const struct conf_http *http, char *error, size_t error_size)
{
	struct tls *tls;
	int err;

	if (!http->tls.enabled)
		return 0;
	err = make(http, &tls, error, error_size);
	if (err == 0)
		tls_put(tls);
	return err;
}
