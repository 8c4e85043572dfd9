/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/listener_tls.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/exit.h"
#include "common/base/log.h"
#include "common/service/secure.h"

/* How often the log warns of a certificate that ends soon. */
#define WARN_NS (24 * 3600 * CLOCK_SECOND_NS)

/* Accepting is not the message path: a mutex will do. */
struct entry {
	pthread_mutex_t lock;
	struct tls *tls;               /* [lock]; NULL: this one is plain */
	enum conf_user_name user_name; /* [lock] */
	struct tls_tickets *tickets;   /* [const] */
	char *bind;                    /* [const] */
	char *cert;         /* of the main thread; NULL: keys alone */
	uint64_t warned_ns; /* of the main thread */
};

struct listener_tls {
	size_t count;
	struct entry entries[];
};

/* ---- one listener ------------------------------------------------------ */

static void
set_text(char **field, const char *text)
{
	free(*field);
	*field = text == NULL ? NULL : strdup(text);
}

/* Of a certificate and a list; the log has a line of each that ends soon. */
static void
warn(struct entry *entry, uint64_t now_ns)
{
	struct listener_tls_days days = { 0 };

	days.has_certificate = tls_days_left(entry->tls, &days.certificate);
	days.has_crl = tls_crl_days_left(entry->tls, &days.crl);
	if (days.has_certificate && days.certificate < LISTENER_TLS_SOON_DAYS) {
		log_warning("certificate_ends",
		    "listener=%s path=%s days_left=%lld note=\"renew it, then "
		    "send SIGHUP\"",
		    entry->bind,
		    log_quote(entry->cert == NULL ? "" : entry->cert),
		    (long long)days.certificate);
		entry->warned_ns = now_ns;
	}
	if (days.has_crl && days.crl < 1) {
		log_warning("crl_ends",
		    "listener=%s days_left=%lld note=\"once it is past its "
		    "next update all clients are refused: fetch a new list "
		    "into crl_file, then send SIGHUP\"",
		    entry->bind, (long long)days.crl);
		entry->warned_ns = now_ns;
	}
}

static void
tell(struct entry *entry)
{
	int64_t days;

	if (tls_days_left(entry->tls, &days))
		log_info("certificate_loaded",
		    "listener=%s path=%s days_left=%lld", entry->bind,
		    log_quote(entry->cert == NULL ? "" : entry->cert),
		    (long long)days);
	warn(entry, clock_now_ns());
}

/* Whole seconds: OpenSSL counts in them, and a part of one is one. */
static uint64_t
lifetime_ns(const struct conf_tls *conf)
{
	const uint64_t s =
	    (conf->session_lifetime_ns + CLOCK_SECOND_NS - 1) / CLOCK_SECOND_NS;

	return s * CLOCK_SECOND_NS;
}

static int
fill(struct entry *entry, const struct conf_listener *conf)
{
	char error[TLS_ERROR_SIZE];
	int err;

	set_text(&entry->bind, conf->bind);
	if (!conf->tls.enabled)
		return EXIT_OK;
	set_text(&entry->cert, conf->tls.cert);
	entry->user_name = conf->tls.user_name_from;
	entry->tickets =
	    tls_tickets_new(lifetime_ns(&conf->tls), clock_now_ns());
	if (entry->bind == NULL || entry->tickets == NULL) {
		log_error("listener_failed", "error=%s",
		    log_quote("no memory, or no randomness, for its TLS"));
		return EXIT_OSERR;
	}
	err = secure_server(
	    &conf->tls, entry->tickets, &entry->tls, error, sizeof(error));
	if (err != 0) {
		log_error("certificate_failed", "listener=%s reason=%s",
		    conf->bind, log_quote(error));
		return EXIT_CONFIG;
	}
	tell(entry);
	return EXIT_OK;
}

static void
replace(struct entry *entry, const struct conf_tls *conf)
{
	char error[TLS_ERROR_SIZE];
	struct tls *fresh, *before;

	tls_tickets_set_lifetime(entry->tickets, lifetime_ns(conf));
	if (secure_server(conf, entry->tickets, &fresh, error, sizeof(error)) !=
	    0) {
		log_error("certificate_kept",
		    "listener=%s reason=%s note=\"the old one stays in use\"",
		    entry->bind, log_quote(error));
		return;
	}
	pthread_mutex_lock(&entry->lock);
	before = entry->tls;
	entry->tls = fresh;
	entry->user_name = conf->user_name_from;
	pthread_mutex_unlock(&entry->lock);
	tls_put(before);
	set_text(&entry->cert, conf->cert);
	tell(entry);
}

/* ---- all of them -------------------------------------------------------- */

int
listener_tls_new(const struct conf *conf, struct listener_tls **out_all)
{
	const size_t count = conf->listener_count;
	struct listener_tls *all;
	int code = EXIT_OK;

	all = calloc(1, sizeof(*all) + count * sizeof(struct entry));
	if (all == NULL)
		return EXIT_OSERR;
	for (; all->count < count && code == EXIT_OK; all->count++) {
		pthread_mutex_init(&all->entries[all->count].lock, NULL);
		code = fill(
		    &all->entries[all->count], &conf->listeners[all->count]);
	}
	if (code == EXIT_OK)
		*out_all = all;
	else
		listener_tls_free(all);
	return code;
}

void
listener_tls_free(struct listener_tls *all)
{
	for (size_t i = 0; all != NULL && i < all->count; i++) {
		struct entry *entry = &all->entries[i];

		tls_put(entry->tls);
		tls_tickets_put(entry->tickets);
		free(entry->bind);
		free(entry->cert);
		pthread_mutex_destroy(&entry->lock);
	}
	free(all);
}

void
listener_tls_reload(struct listener_tls *all, const struct conf *conf)
{
	for (size_t i = 0; i < all->count && i < conf->listener_count; i++) {
		const struct conf_listener *fresh = &conf->listeners[i];
		struct entry *entry = &all->entries[i];

		/* What else has changed is told as needing a restart. */
		if (entry->tls != NULL && fresh->tls.enabled &&
		    strcmp(entry->bind, fresh->bind) == 0)
			replace(entry, &fresh->tls);
	}
}

int
listener_tls_check(const struct conf *conf, char *error, size_t error_size,
    size_t *out_listener)
{
	struct tls *tls;
	int err;

	for (size_t i = 0; i < conf->listener_count; i++) {
		if (!conf->listeners[i].tls.enabled)
			continue;
		err = secure_server(
		    &conf->listeners[i].tls, NULL, &tls, error, error_size);
		if (err != 0) {
			*out_listener = i;
			return err;
		}
		tls_put(tls);
	}
	return 0;
}

/* ---- for workers --------------------------------------------------------- */

bool
listener_tls_is_on(const struct listener_tls *all, size_t listener)
{
	/* Tickets are there or not for good, and nothing is locked for it. */
	return all != NULL && all->entries[listener].tickets != NULL;
}

struct stream_layer *
listener_tls_layer(struct listener_tls *all, size_t listener)
{
	struct entry *entry = &all->entries[listener];
	struct stream_layer *layer;
	struct tls *tls;

	pthread_mutex_lock(&entry->lock);
	tls = entry->tls;
	tls_take(tls);
	pthread_mutex_unlock(&entry->lock);
	layer = tls_layer(tls, NULL);
	tls_put(tls);
	return layer;
}

enum conf_user_name
listener_tls_user_name_from(struct listener_tls *all, size_t listener)
{
	enum conf_user_name from;

	if (!listener_tls_is_on(all, listener))
		return CONF_USER_NAME_NONE;
	pthread_mutex_lock(&all->entries[listener].lock);
	from = all->entries[listener].user_name;
	pthread_mutex_unlock(&all->entries[listener].lock);
	return from;
}

/* ---- how long it is good --------------------------------------------------
 */

bool
listener_tls_days(struct listener_tls *all, size_t listener,
    struct listener_tls_days *out_days)
{
	struct listener_tls_days days = { 0 };
	struct entry *entry = &all->entries[listener];
	struct tls *tls;

	if (!listener_tls_is_on(all, listener))
		return false;
	pthread_mutex_lock(&entry->lock);
	tls = entry->tls;
	tls_take(tls);
	pthread_mutex_unlock(&entry->lock);
	days.has_certificate = tls_days_left(tls, &days.certificate);
	days.has_crl = tls_crl_days_left(tls, &days.crl);
	tls_put(tls);
	*out_days = days;
	return true;
}

uint64_t
listener_tls_watch(struct listener_tls *all, uint64_t now_ns)
{
	struct listener_tls_days days;
	int64_t least = INT64_MAX;

	for (size_t i = 0; i < all->count; i++) {
		struct entry *entry = &all->entries[i];

		if (!listener_tls_days(all, i, &days))
			continue;
		if (entry->warned_ns == 0 ||
		    now_ns - entry->warned_ns >= WARN_NS)
			warn(entry, now_ns);
		if (days.has_certificate && days.certificate < least)
			least = days.certificate;
	}
	return least == INT64_MAX || least < 0 ? 0 : (uint64_t)least;
}
