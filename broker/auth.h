/* SPDX-License-Identifier: Apache-2.0 */

/*
 * auth - accounts, passwords, and identity handles.
 *
 * One object serves MQTT clients and httpd alike.  Passwords are checked
 * with argon2id (libsodium) on a thread of its own, one at a time, since a
 * check takes tens of milliseconds; credentials that were verified before
 * are answered at once from a cache of keyed hashes.  The queue is bounded:
 * a full queue is answered MQTT_SERVER_BUSY.
 *
 * Tokens (auth_jwt.h) are judged on that thread too; each stands for an
 * account, with no more rights than the token says.
 *
 * An identity is a handle that stands for an account as it was when the
 * credentials were verified.  It is unguessable, checked again each time it
 * is presented, and good over the broker's death (auth_key.h) as long as the
 * account has that password.
 *
 * auth_reload() takes other accounts while all this goes on; threads that
 * ask have called rcu_thread_start().
 */

#ifndef WEIR_BROKER_AUTH_H
#define WEIR_BROKER_AUTH_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/mailbox.h"
#include "common/base/slice.h"
#include "common/mqtt/reason.h"
#include "common/msg/record.h"
#include "common/net/scram_verifier.h"

struct access;
struct auth;
struct conf;

#define AUTH_ANONYMOUS UINT64_C(1) /* the identity of who gave no name */

/* What an identity may do, as a set; an account's `scopes`. */
enum auth_right {
	AUTH_PUBLISH = 1, /* messages, by HTTP */
	AUTH_READ = 2,    /* look at clients, bridges, counters ... */
	AUTH_MANAGE = 4   /* change what runs */
};

#define AUTH_ALL_RIGHTS (AUTH_PUBLISH | AUTH_READ | AUTH_MANAGE)

/* Where credentials came from: what they may name. */
enum auth_kind {
	AUTH_OF_MQTT, /* accounts */
	AUTH_OF_HTTP, /* accounts and keys */
	AUTH_OF_TOKEN /* a token as the password, no user name */
};

/* A check under way; embedded in or allocated by the asker. */
struct auth_request {
	struct mail mail;      /* the answer, put into `reply` */
	struct mailbox *reply; /* whose owner asked; set by the asker */
	enum auth_kind kind;   /* set by the asker */
	char *user;            /* copied by auth_check() */
	char *password;        /* copied, wiped after the check */
	size_t password_length;
	/* The answer, valid when mail.open() runs. */
	enum mqtt_reason reason;   /* SUCCESS, BAD_USER_NAME_OR_PASSWORD, ... */
	enum record_detail detail; /* of a token that was refused */
	uint64_t identity;
	uint64_t ends_ns; /* the identity's, by the wall clock; 0: no end */
};

/*
 * Read the accounts of the configuration and of accounts_file.  If there are
 * none and http is configured, an account "admin" with a random password is
 * made and written to state_dir/initial-account (0600), and said in the log.
 * NULL with errno; the reason has been logged.
 */
struct auth *auth_new(const struct conf *conf);

/*
 * SIGHUP: the accounts and keys of `conf` from now on.  Who is gone, or has
 * another password, is void at once.  0 or -errno: then all stays as it was,
 * and the reason has been logged.  The thread of auth_new().
 */
int auth_reload(struct auth *auth, const struct conf *conf);

/*
 * No check is made any more; what still waits is answered
 * MQTT_SERVER_UNAVAILABLE, by mail, and what comes now MQTT_SERVER_BUSY.
 */
void auth_stop(struct auth *auth);

/* Stopped, and all of its answers opened: they say who it is by this. */
void auth_free(struct auth *auth);

/*
 * Check credentials.  mail.open and reply must be set.  Any thread.
 * Returns true if the answer is in `request` already (cached, no such user
 * is NOT answered faster than a wrong password), false if it comes by mail.
 */
bool auth_check(struct auth *auth, struct slice user, struct slice password,
    struct auth_request *request);

/* What SCRAM-SHA-256 checks against. */
struct auth_scram {
	struct scram_verifier verifier;
	uint64_t identity; /* 0: of nobody, and nobody fits the verifier */
};

/*
 * The verifier of that user; where there is none, one that looks the same
 * whenever it is asked for.  Any thread, no lock.
 */
void auth_scram_of(
    const struct auth *auth, const char *user, struct auth_scram *out);

/* Free what auth_check() copied. */
void auth_request_fini(struct auth_request *request);

/* Is this handle still good?  Any thread, no lock. */
bool auth_identity_is_valid(const struct auth *auth, uint64_t identity);

/*
 * Its account's name, "" for anonymous, NULL for an unknown handle.  A handle
 * that is void since a reload has its name still.  The text lives as long as
 * `auth`.
 */
const char *auth_identity_name(const struct auth *auth, uint64_t identity);

/*
 * A number that all handles of its account share, and no handle is; for
 * counting what one account does.  0 for anonymous and unknown handles.
 */
uint64_t auth_identity_account(const struct auth *auth, uint64_t identity);

/* Are these handles, void or not, of one account? */
bool auth_is_same_owner(const struct auth *auth, uint64_t a, uint64_t b);

/* The identity of the account of that name ("": anonymous); 0: none. */
uint64_t auth_identity_of(const struct auth *auth, struct slice name);

/*
 * May it, now?  Who gave no name may publish, where that is let in, and no
 * more; a handle that is void may nothing.  Any thread, no lock.
 */
bool auth_identity_may(
    const struct auth *auth, uint64_t identity, enum auth_right right);

/*
 * By HTTP: AUTH_PUBLISH, and to this topic: one of its filters matches.  "#"
 * is all topics but those that begin with '$' [MQTT-4.7.2-1].  Any thread, no
 * lock; it takes as long as the identity has filters.
 */
bool auth_identity_may_publish(
    const struct auth *auth, uint64_t identity, struct slice topic);

/*
 * Where the account of this handle, void or not, may publish and subscribe by
 * MQTT as this client (access.h); nowhere if there is no such account any
 * more.  *out_access is the caller's.  Any thread, no lock.  0 or -ENOMEM.
 */
int auth_access(const struct auth *auth, uint64_t identity,
    struct slice client_id, struct access **out_access);

/* May somebody not subscribe to everything? */
bool auth_limits_subscriptions(const struct auth *auth);

bool auth_has_accounts(const struct auth *auth);

#endif
