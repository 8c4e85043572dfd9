/* SPDX-License-Identifier: Apache-2.0 */

/*
 * listener_tls - the TLS of the listeners, and what is said about it.
 *
 * One context a listener serves all workers, so a session that began with one
 * of them is resumed by any.  SIGHUP makes it anew from the files:
 * connections that are there go on with what they began with, tickets stay
 * good, and files that cannot be used change nothing.  Whether a listener
 * speaks TLS at all changes with a restart alone.
 *
 * Made, reloaded and freed by the main thread; the rest is for any thread
 * where nothing else is said.
 */

#ifndef WEIR_BROKER_LISTENER_TLS_H
#define WEIR_BROKER_LISTENER_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/conf/conf.h"
#include "common/net/tls.h"

/* A certificate or list that ends within so many days is spoken of. */
#define LISTENER_TLS_SOON_DAYS 14

struct listener_tls;

/*
 * Of all listeners of `conf`.  Returns EXIT_OK, or an exit code after the log
 * has been told which file is wrong.
 */
int listener_tls_new(const struct conf *conf, struct listener_tls **out_all);

/* Accepts NULL.  No worker runs. */
void listener_tls_free(struct listener_tls *all);

/*
 * Make them anew by `conf`; what cannot be made stays as it was, and the log
 * says why.  A listener that is another one in `conf` is not touched.
 */
void listener_tls_reload(struct listener_tls *all, const struct conf *conf);

/*
 * Look at the files of all listeners, for -t.  Returns 0, or -errno with a
 * sentence in `error` and the listener's number.
 */
int listener_tls_check(const struct conf *conf, char *error, size_t error_size,
    size_t *out_listener);

/* Does this listener speak TLS? */
bool listener_tls_is_on(const struct listener_tls *all, size_t listener);

/* For a connection that it accepted.  NULL without memory. */
struct stream_layer *listener_tls_layer(
    struct listener_tls *all, size_t listener);

/* Where the account of its clients comes from, now. */
enum conf_user_name listener_tls_user_name_from(
    struct listener_tls *all, size_t listener);

/* What is known of one listener's files; false: it has none of TLS. */
struct listener_tls_days {
	bool has_certificate, has_crl;
	int64_t certificate, crl; /* whole days left; negative: it is over */
};

bool listener_tls_days(struct listener_tls *all, size_t listener,
    struct listener_tls_days *out_days);

/*
 * Main thread, now and then: the fewest days of all certificates, 0 when
 * there is none or one is over.  Warns once a day of what ends soon.
 */
uint64_t listener_tls_watch(struct listener_tls *all, uint64_t now_ns);

#endif
