/* SPDX-License-Identifier: Apache-2.0 */

/*
 * conf - the configuration of all programs, read from one file.
 *
 *	err = conf_load("/etc/weir/weir.conf", &conf, stderr);
 *	if (err != 0)
 *		return EXIT_CONFIG;
 *
 * All keys, with type, default, range and manual sentence, are in
 * conf_keys.def; conf_load() checks the file against that table and reports
 * every mistake it finds as `FILE:LINE: what is wrong, what is allowed`.
 * A loaded struct conf is complete (defaults filled in, derived values
 * computed) and never changes; all threads may read it.
 *
 * Relative file names in the configuration are taken from the folder of the
 * configuration file and are absolute here.
 */

#ifndef WEIR_COMMON_CONF_CONF_H
#define WEIR_COMMON_CONF_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/base/log.h"

#define CONF_MAX_BRIDGES 63
#define CONF_MAX_BRIDGE_NAME 32

/* In state_dir: NAME.conf, a bridge's keys, for each made by an order. */
#define CONF_BRIDGES_FOLDER "bridges.d"
#define CONF_MAX_RATE_FILTERS 64
#define CONF_MAX_SHARES 1000
#define CONF_NEVER UINT64_MAX /* a duration that does not end */

enum conf_durability {
	CONF_DURABILITY_NONE,
	CONF_DURABILITY_PROCESS,
	CONF_DURABILITY_DISK
};

enum conf_qos0 {
	CONF_QOS0_DROP, /* QoS 0 without room is dropped and counted */
	CONF_QOS0_STALL /* ... waits, with its socket */
};

enum conf_receive_maximum_policy {
	CONF_RECEIVE_MAXIMUM_ENFORCE, /* who exceeds it is disconnected */
	CONF_RECEIVE_MAXIMUM_WARN     /* ... is counted */
};

/* Which member of a shared subscription gets a message. */
enum conf_shared {
	CONF_SHARED_ROUND_ROBIN,
	CONF_SHARED_RANDOM,
	CONF_SHARED_STICKY,
	CONF_SHARED_HASH, /* of the publisher's client identifier */
	CONF_SHARED_HASH_TOPIC
};

/* Shared subscriptions that are served in a way of their own. */
struct conf_share {
	char *name;   /* NULL: any */
	char *filter; /* NULL: any */
	enum conf_shared strategy;
};

enum conf_overflow {
	CONF_OVERFLOW_STALL,
	CONF_OVERFLOW_REJECT,
	CONF_OVERFLOW_DROP_OLDEST,
	CONF_OVERFLOW_DROP_NEWEST
};

/* The retain flag of what passes a rule. */
enum conf_retain {
	CONF_RETAIN_KEEP,
	CONF_RETAIN_CLEAR,
	CONF_RETAIN_SET
};

/* Retained messages of a subscription; the values are those on the wire. */
enum conf_retain_handling {
	CONF_RETAIN_HANDLING_ALWAYS = 0, /* whenever it is made */
	CONF_RETAIN_HANDLING_NEW = 1,    /* if it was not there before */
	CONF_RETAIN_HANDLING_NEVER = 2
};

enum conf_notifications {
	CONF_NOTIFICATIONS_NONE = 0,
	CONF_NOTIFICATIONS_LOCAL = 1,
	CONF_NOTIFICATIONS_REMOTE = 2,
	CONF_NOTIFICATIONS_BOTH = 3
};

enum conf_start {
	CONF_START_AUTOMATIC,
	CONF_START_LAZY, /* connected while messages wait */
	CONF_START_ONCE  /* not again once a connection is lost */
};

enum conf_reconnect {
	CONF_RECONNECT_IMMEDIATE,
	CONF_RECONNECT_LAZY
};

enum conf_protocol {
	CONF_PROTOCOL_3_1_1 = 4, /* the protocol level on the wire */
	CONF_PROTOCOL_5_0 = 5
};

/* Whether a key takes effect at SIGHUP. */
enum conf_reload {
	CONF_RELOAD,    /* yes */
	CONF_RECONNECT, /* of a bridge: with its next connection */
	CONF_RESTART,   /* at the next start of the program */
};

/* What is given up for a client that reads too slowly. */
enum conf_slow_subscriber {
	CONF_SLOW_DROP_NEWEST,
	CONF_SLOW_DROP_OLDEST,
	CONF_SLOW_DISCONNECT
};

struct conf_ring {
	uint64_t capacity;     /* bytes, a power of two */
	uint64_t max_capacity; /* bytes, a power of two, >= capacity */
};

struct conf_journal {
	uint64_t max_bytes;     /* of all its files; >= 4 segments */
	uint64_t segment_bytes; /* whole pages; >= 4 of the largest packet */
};

/* Of each: per second 0 is no limit, and then its burst is 0 too. */
struct conf_rate {
	uint64_t per_second; /* messages; no number is above UINT32_MAX */
	uint64_t burst;
	uint64_t requests_per_second;
	uint64_t requests_burst;
	uint64_t bytes_per_second;
	uint64_t bytes_burst;
};

/* The rate of what goes to some topics. */
struct conf_rate_filter {
	char *name;
	char *filter;
	struct conf_rate rate;
	unsigned line;
};

enum conf_tls_version {
	CONF_TLS_1_2 = 12,
	CONF_TLS_1_3 = 13
};

/* Where a client's account comes from. */
enum conf_user_name {
	CONF_USER_NAME_NONE,    /* its CONNECT */
	CONF_USER_NAME_CN,      /* its certificate's common name */
	CONF_USER_NAME_SUBJECT, /* ... or whole subject */
	CONF_USER_NAME_PSK      /* the identity of its pre-shared key */
};

/* A certificate for those who ask for this name. */
struct conf_tls_name {
	char *name;
	char *cert;
	char *key;
	char *key_password_file;
};

/* Of a server or of a client; what is not given is NULL. */
struct conf_tls {
	bool enabled; /* there is a tls group */
	char *cert;
	char *key;
	char *key_password_file;
	char *ca_file;
	char *ca_path;             /* client */
	bool client_cert_optional; /* server */
	enum conf_tls_version min_version;
	char *ciphers;
	char *server_name; /* client */
	char *alpn;
	char *psk_identity; /* client */
	char *psk_file;
	bool insecure; /* client */
	/* Server. */
	char *crl_file;
	bool crl_whole_chain;
	struct conf_tls_name *sni;
	size_t sni_count;
	/* Server of a listener. */
	enum conf_user_name user_name_from;
	uint64_t session_lifetime_ns; /* 0: nothing is resumed */
	unsigned line;
};

/* Texts of a key that takes several. */
struct conf_strings {
	char **list;
	size_t count;
};

/* Who says which account a listener's client has, if not its CONNECT. */
enum conf_peer_user {
	CONF_PEER_USER_NONE,
	CONF_PEER_USER_UNIX, /* the system: the user of its process */
	CONF_PEER_USER_PROXY /* its proxy: the name in its certificate */
};

struct conf_listener {
	char *bind;           /* "host:port" or "unix:/path" */
	char *mode;           /* of a Unix socket, octal digits */
	char *group;          /* of a Unix socket; NULL: the broker's */
	bool allow_anonymous; /* resolved: own key, else the global rule */
	uint32_t max_connections;
	char *websocket;                       /* its path; NULL: plain MQTT */
	struct conf_strings websocket_origins; /* none: any */
	bool proxy_protocol;
	enum conf_peer_user peer_user;
	struct conf_strings proxy_from; /* resolved: networks, at least one */
	struct conf_tls tls;
	unsigned line;
};

/* What an account or key may do; a set. */
enum conf_scope {
	CONF_SCOPE_PUBLISH = 1, /* messages */
	CONF_SCOPE_READ = 2,    /* look at what runs */
	CONF_SCOPE_MANAGE = 4   /* change it */
};

#define CONF_SCOPES_ALL                                                        \
	(CONF_SCOPE_PUBLISH | CONF_SCOPE_READ | CONF_SCOPE_MANAGE)

/* Shortest secret of a key in bytes: nobody types it. */
#define CONF_MIN_SECRET 16

/* The hash of an account that no password opens. */
#define CONF_NO_PASSWORD "*"

/* Exactly one of password and hash is set. */
struct conf_account {
	char *name;
	char *password; /* from the configuration file, for trying out */
	char *hash;     /* argon2id, from accounts_file; or CONF_NO_PASSWORD */
	char *scram;    /* beside it, or NULL; see scram_verifier.h */
	uint8_t scopes; /* enum conf_scope, or-ed */
	struct conf_strings publish; /* topic filters */
	struct conf_strings subscribe;
	unsigned line;
};

/* In the place of an account's filters; of no name: of who gives none. */
struct conf_access {
	char *account;
	struct conf_strings publish;
	struct conf_strings subscribe;
	unsigned line;
};

/* A key of the HTTP interface; one of secret and secret_file is set. */
struct conf_key_account {
	char *name;
	char *secret;
	char *secret_file;           /* see conf_read_secret() */
	uint8_t scopes;              /* enum conf_scope, or-ed */
	struct conf_strings publish; /* topic filters */
	unsigned line;
};

/* per_second 0: no limit. */
struct conf_failures {
	uint32_t per_second;
	uint32_t burst;
};

enum conf_jwt_algorithm {
	CONF_JWT_HS256, /* HMAC with SHA-256 */
	CONF_JWT_RS256, /* RSASSA-PKCS1-v1_5 with SHA-256 */
	CONF_JWT_ES256  /* ECDSA with P-256 and SHA-256 */
};

/* Tokens of one issuer. */
struct conf_jwt {
	enum conf_jwt_algorithm algorithm;
	char *key_file;
	char *audience; /* NULL: tokens that name one are refused */
	char *issuer;   /* NULL: any */
	char *account_claim;
	char *account;     /* of tokens that name none; NULL: refused */
	char *scope_claim; /* "": the account's scopes hold */
	uint64_t leeway_ns;
	unsigned line;
};

struct conf_http {
	bool enabled; /* there is an http group */
	char *bind;
	uint64_t stall_timeout_ns;
	uint64_t receipt_timeout_ns;
	uint64_t header_timeout_ns;
	uint64_t body_timeout_ns;
	uint64_t idle_timeout_ns;
	uint32_t max_connections;
	uint64_t max_body; /* bytes; derived from the ring when not given */
	uint32_t max_pending;
	uint32_t max_stalled;       /* requests; resolved */
	uint64_t max_stalled_bytes; /* resolved */
	struct conf_rate rate;
	struct conf_rate rate_per_client;
	struct conf_rate rate_per_account;
	struct conf_rate_filter *rate_per_filter;
	size_t rate_per_filter_count;
	struct conf_key_account *keys;
	size_t key_count;
	struct conf_tls tls;
	struct conf_jwt *jwt;
	size_t jwt_count;
	struct conf_failures failed_logins;
	struct conf_ring ring;
};

/* One forward or receive rule of a bridge. */
struct conf_rule {
	char *filter;
	uint8_t qos;
	char *local_prefix;  /* "" when not given */
	char *remote_prefix; /* "" when not given */
	unsigned line;
	enum conf_retain retain;
	char *remote_topic; /* forward: a template (template.h), or NULL */
	char *local_topic;  /* receive: a template, or NULL */
	/* Of a receive rule: */
	bool no_local;
	bool retain_as_published;
	enum conf_retain_handling retain_handling;
};

struct conf_user_property {
	char *name;
	char *value;
};

/* What the remote publishes when the connection is lost. */
struct conf_will {
	bool enabled; /* there is a will group */
	char *topic;
	char *payload;
	uint8_t qos;
	bool retain;
	uint64_t delay_ns;
	uint64_t expiry_ns; /* or CONF_NEVER */
	char *content_type; /* NULL when not given, as the next */
	char *response_topic;
	struct conf_user_property *user_properties;
	size_t user_property_count;
};

/* One address of a bridge's remote, taken from its url. */
struct conf_remote {
	char *url;
	char *host; /* IPv6 without brackets */
	char *path; /* of WebSocket, "/mqtt"; else NULL */
	uint16_t port;
	bool is_tls;
	bool is_websocket;
};

struct conf_bridge {
	char *name;
	char *type;                  /* "mqtt" */
	char *url;                   /* the first one */
	char *host;                  /* of the url; IPv6 without brackets */
	uint16_t port;               /* of the url, or the scheme's */
	struct conf_strings urls;    /* as written */
	struct conf_remote *remotes; /* all there are; at least one */
	size_t remote_count;
	bool urls_order;           /* true: round robin */
	uint64_t primary_retry_ns; /* 0: never */
	struct conf_tls tls;       /* of mqtts and wss */
	char *bind_address;        /* NULL: any */
	uint64_t tcp_keepalive_ns; /* 0: none */
	uint64_t tcp_keepalive_interval_ns;
	uint32_t tcp_keepalive_count;
	uint64_t tcp_user_timeout_ns; /* 0: the system's */
	char *username;               /* NULL when not given */
	char *password;               /* NULL when not given */
	char *password_file; /* NULL when not given; see conf_read_secret() */
	char *client_id;
	enum conf_protocol protocol;
	uint64_t keepalive_ns;
	uint32_t max_inflight;
	uint64_t session_expiry_ns; /* or CONF_NEVER */
	uint64_t connect_timeout_ns;
	uint64_t retry_min_ns;
	uint64_t retry_max_ns;
	uint64_t retry_waiting_ns;
	uint64_t retry_stable_ns;
	struct conf_rule *forward;
	size_t forward_count;
	struct conf_rule *receive;
	size_t receive_count;
	struct conf_rule *both; /* as written; copies are in the other two */
	size_t both_count;
	bool announce_bridge;
	bool clean_start;
	uint32_t topic_alias_maximum;
	uint64_t max_packet_size; /* bytes; 0: what fits the ring */
	struct conf_user_property *user_properties;
	size_t user_property_count;
	struct conf_will will;
	enum conf_notifications notifications;
	char *notification_topic; /* NULL when not given */
	enum conf_start start;
	uint64_t lazy_threshold; /* bytes */
	uint64_t lazy_wait_ns;
	uint64_t idle_timeout_ns;
	struct conf_rate rate;
	uint32_t max_hops;
	enum conf_reconnect reload;
	struct conf_ring ring;
	uint64_t backlog;           /* bytes; resolved: 0 without a journal */
	uint32_t dead_letters;      /* kept at most */
	uint64_t dead_letters_size; /* bytes */
	enum conf_overflow overflow;
	bool is_added; /* it is in CONF_BRIDGES_FOLDER */
	unsigned line; /* of its own file */
};

struct conf {
	char *path; /* the file that was read, absolute */
	char *run_dir;
	char *state_dir;
	enum conf_durability durability;
	struct conf_journal journal; /* used if conf_has_journal() */
	bool allow_anonymous;     /* as written; listeners have it resolved */
	bool allow_anonymous_set; /* it was written */
	uint32_t workers;         /* resolved: 1..64 */
	uint64_t max_packet_size; /* bytes; resolved */
	uint32_t max_connections;
	uint32_t max_connections_per_address; /* 0: no limit */
	struct conf_rate connect_rate;        /* per_second and burst alone */
	struct conf_rate connect_rate_per_address;
	uint64_t max_connect_size; /* bytes; <= max_packet_size: resolved */
	uint32_t max_topic_length; /* bytes */
	uint32_t max_topic_levels;
	uint32_t max_subscriptions;   /* a client; 0: no limit */
	uint32_t max_user_properties; /* a packet; 0: no limit */
	uint32_t receive_maximum;
	enum conf_receive_maximum_policy receive_maximum_policy;
	uint32_t topic_alias_maximum;     /* from a client */
	uint32_t topic_alias_maximum_out; /* to a client */
	uint32_t max_inflight;
	uint32_t max_queued_messages;       /* a session */
	uint64_t max_queued_bytes;          /* a session */
	uint64_t max_queued_messages_total; /* of all; 0: no limit */
	uint64_t max_queued_bytes_total;    /* as before */
	struct conf_rate publish_rate;      /* a client; no requests */
	enum conf_slow_subscriber slow_subscriber;
	uint64_t output_buffer; /* bytes, a client */
	uint32_t max_sessions;  /* kept beyond their connections */
	uint64_t worker_window; /* bytes, per (worker, bridge) */
	uint64_t read_ahead;    /* bytes */
	uint64_t connect_timeout_ns;
	uint32_t max_keepalive;         /* seconds */
	uint64_t session_expiry_max_ns; /* or CONF_NEVER */
	uint32_t retained_max_messages;
	uint64_t retained_max_bytes;
	uint32_t max_qos;
	bool retain_available;
	bool wildcard_subscriptions;
	bool shared_subscriptions;
	bool subscription_identifiers;
	char *response_information; /* NULL when not given */
	char *server_reference;     /* likewise */
	enum conf_shared share_strategy;
	struct conf_share *shares; /* the first that fits counts */
	size_t share_count;
	enum conf_qos0 qos0;
	uint64_t memory_limit; /* bytes; 0: none */
	uint64_t lane_idle_ns; /* an unused lane is closed after this */
	uint32_t trace_every;  /* one message in so many is traced; 0: none */
	uint64_t sys_interval_ns; /* of $SYS; 0: it is not published */
	enum log_level log_level;
	char *accounts_file; /* NULL when not given; see conf_read_accounts() */
	struct conf_account *accounts;
	size_t account_count;
	struct conf_access *access;
	size_t access_count;
	struct conf_failures failed_logins; /* by MQTT */
	struct conf_listener *listeners;
	size_t listener_count;
	struct conf_http http;
	struct conf_bridge *bridges;
	size_t bridge_count;
};

/*
 * Read and check `path`; all mistakes are written to `errors`, one a line.
 * Opens no other file than `path`, what it includes, and the bridges in
 * CONF_BRIDGES_FOLDER if it may, so every program may call it whatever user it
 * runs as.
 * Returns 0; -EINVAL when there is a mistake; -errno when `path` cannot be
 * read; -ENOMEM.
 */
int conf_load(const char *path, struct conf **out_conf, FILE *errors);

/*
 * As conf_load(), if CONF_BRIDGES_FOLDER had this text for the bridge `name`,
 * or (NULL) nothing.
 */
int conf_try_bridge(const char *path, const char *name, const char *text,
    struct conf **out_conf, FILE *errors);

/* The file of such a bridge.  0 or -ENAMETOOLONG. */
int conf_bridge_path(
    const char *state_dir, const char *name, char *out, size_t size);

/* Accepts NULL. */
void conf_free(struct conf *conf);

/*
 * Is there such a key?  "http.rate.burst", "bridges.forward.qos": lists by
 * their name alone.
 */
bool conf_has_key(const char *path);

/* Is there a journal in state_dir/journal? */
bool conf_has_journal(const struct conf *conf);

/*
 * Bytes that one thread may have sent to the journal, not settled: the window
 * of its port (commit_spec.window_bytes).
 */
uint64_t conf_commit_window(const struct conf *conf);

/* Bytes of messages that are read ahead of a bridge's ring, and one more. */
#define CONF_FEED_WINDOW (UINT64_C(512) << 10)

/*
 * Each key that differs and is taken at the next start of a program only, by
 * its path: "workers", "http.bind", "bridges.cloud.backlog".  Bridges that came
 * or went are not among them.  Returns how many there are.
 */
typedef void (*conf_each_change)(void *context, const char *key);
unsigned conf_restart_changes(const struct conf *running,
    const struct conf *fresh, conf_each_change each, void *context);

/* The bridge of that name, or NULL. */
const struct conf_bridge *conf_bridge(
    const struct conf *conf, const char *name);

/*
 * What differs between two states of a bridge, key by key: each() gets the
 * key's name and when it takes effect.  Returns the last of these, or
 * CONF_RELOAD when there is nothing.
 */
enum conf_reload conf_bridge_compare(const struct conf_bridge *old,
    const struct conf_bridge *fresh,
    void (*each)(void *arg, const char *key, enum conf_reload reload),
    void *arg);

/*
 * Make *live what `fresh` is, but for the keys that take effect at a restart.
 * *live is lent its texts and lists by `fresh`, and by what it was first
 * filled from; it is never freed.
 */
void conf_bridge_take(
    struct conf_bridge *live, const struct conf_bridge *fresh);

/*
 * Read the accounts_file: lines of `name:hash` or `name:hash:scopes`, comments
 * (#) and empty lines.  Without scopes an account has all; each may publish to
 * "#".  A file that group or others may read is refused.  Mistakes are reported
 * as conf_load() does.  Free with conf_free_accounts().
 */
int conf_read_accounts(const char *path, struct conf_account **out_accounts,
    size_t *out_count, FILE *errors);
void conf_free_accounts(struct conf_account *accounts, size_t count);

/* The set of scopes in words parted by blanks or commas; -1: not words. */
int conf_scopes_parse(const char *text);

/*
 * The first line of a file of 64 KiB at most, without its newline, on the
 * heap: a bridge's password.  A file that others may read is -EPERM, an
 * empty one -ENODATA.
 */
int conf_read_secret(const char *path, char **out_secret);

/*
 * Beside output_buffer and a packet, what one connection may have waiting to
 * be sent: answers to what it sends.
 */
#define CONF_CONNECTION_ANSWER_BYTES (64u << 10)

/* The terms of conf_memory_for(), in bytes; conf_memory.c explains them. */
struct conf_memory {
	uint64_t rings;          /* all lanes there may be, fully grown */
	uint64_t first_rings;    /* of them, those that each link has */
	uint64_t windows;        /* workers x bridges x worker_window */
	uint64_t journal;        /* its batches, and what bridges read ahead */
	uint64_t per_connection; /* one connection's buffers at their limits */
	uint64_t connections;    /* that, times the connections */
	uint64_t per_session;    /* one session's queue at its limits */
	uint64_t sessions;       /* that, times the sessions */
	uint64_t retained;
	uint64_t http;     /* bodies and answers under way in weir-httpd */
	uint64_t bridges;  /* in flight and buffers of all weir-bridged */
	uint64_t programs; /* code, heap and stacks of all processes, idle */
	uint64_t total;    /* the sum */
};

/*
 * An upper bound on the resident memory of all processes together with this
 * many connections and sessions; its terms go to *out (may be NULL).
 * Returns the total; UINT64_MAX when it does not fit.
 */
uint64_t conf_memory_for(const struct conf *conf, uint64_t connections,
    uint64_t sessions, struct conf_memory *out);

/* What one lane takes at most: a stalled one grows through all its classes. */
uint64_t conf_ring_bytes(const struct conf_ring *ring);

/*
 * The memory that all processes together may take: the least of memory_limit,
 * the limits of the control groups around this process, and the machine's
 * memory.  *out_whose says in words which one it is.
 */
uint64_t conf_memory_limit(const struct conf *conf, const char **out_whose);

/* conf_memory_for() with max_connections of both: the worst case. */
uint64_t conf_memory_bound(const struct conf *conf, struct conf_memory *out);

/* All keys as mdoc `.It Cm key` items, for weir.conf(5). */
void conf_print_manual(FILE *out);

/*
 * What is in force, defaults included, as a JSON object: all of it for NULL,
 * or one section: "basic" (the keys that are in no group), "http", "bridges"
 * ...  Secrets are "***".  False: there is no such section.
 */
bool conf_print_json(const struct conf *conf, const char *section, FILE *out);

/* The names of all keys that a reload changes, as a JSON array. */
void conf_print_reloadable(FILE *out);

#endif
