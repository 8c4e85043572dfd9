/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/auth.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/access.h"
#include "broker/auth_initial.h"
#include "broker/auth_key.h"
#include "broker/rcu.h"
#include "common/conf/conf.h"
#include "tests/unit/unit.h"

static char state_dir[64];
static char admin[] = "admin", public[] = "public", bob[] = "bob";
static char bob_hash[crypto_pwhash_STRBYTES];
static struct conf_account accounts[3];
static char everywhere[] = "#", *all_topics[] = { everywhere };
static const struct conf_strings all = { .list = all_topics, .count = 1 };
static struct conf conf;
static struct mailbox *mailbox;
static struct auth *auth;

static void
set_up(void)
{
	snprintf(state_dir, sizeof(state_dir), "/tmp/weir-auth-%d", getpid());
	ck_assert_int_ge(sodium_init(), 0);
	rcu_thread_start();
	accounts[0] = (struct conf_account){ .name = admin,
		.password = public,
		.scopes = CONF_SCOPES_ALL,
		.publish = all };
	accounts[1] = (struct conf_account){ .name = bob,
		.hash = bob_hash,
		.scopes = CONF_SCOPES_ALL,
		.publish = all };
	conf = (struct conf){
		.state_dir = state_dir,
		.accounts = accounts,
		.account_count = 1,
	};
	mailbox = mailbox_new(NULL);
}

static void
tear_down(void)
{
	char path[128];

	auth_free(auth);
	auth = NULL;
	mailbox_open(mailbox, 0);
	mailbox_free(mailbox);
	snprintf(path, sizeof(path), "%s/" AUTH_INITIAL_FILE, state_dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/" AUTH_KEY_FILE, state_dir);
	unlink(path);
	urcu_memb_barrier(); /* former accounts are freed */
	rcu_thread_end();
	/* Nothing else was made, or stayed. */
	ck_assert(rmdir(state_dir) == 0 || errno == ENOENT);
}

/* Cheapest argon2id there is: the tests are to be quick. */
static void
with_hashed_bob(void)
{
	ck_assert_int_eq(
	    crypto_pwhash_str_alg(bob_hash, "secret", 6,
		crypto_pwhash_OPSLIMIT_MIN, crypto_pwhash_MEMLIMIT_MIN,
		crypto_pwhash_ALG_ARGON2ID13),
	    0);
	conf.account_count = 2;
	auth = auth_new(&conf);
	ck_assert_ptr_nonnull(auth);
}

static bool answered;

static void
open_answer(struct mail *mail, void *owner)
{
	(void)mail;
	(void)owner;
	answered = true;
}

/* Returns whether the answer was there at once. */
static bool
check(const char *user, const char *password, struct auth_request *request)
{
	struct pollfd fd = { .fd = mailbox_fd(mailbox), .events = POLLIN };

	*request = (struct auth_request){
		.mail.open = open_answer,
		.reply = mailbox,
	};
	if (auth_check(auth, slice_of_string(user), slice_of_string(password),
		request))
		return true;
	answered = false;
	while (!answered) {
		ck_assert_int_eq(poll(&fd, 1, 5000), 1);
		mailbox_open(mailbox, 0);
	}
	ck_assert_ptr_null(request->password); /* wiped */
	return false;
}

START_TEST(an_account_of_the_configuration_is_answered_at_once)
{
	struct auth_request request;

	auth = auth_new(&conf);
	ck_assert(check("admin", "public", &request));
	ck_assert_int_eq(request.reason, MQTT_SUCCESS);
	ck_assert(auth_identity_is_valid(auth, request.identity));
	ck_assert_str_eq(auth_identity_name(auth, request.identity), "admin");

	ck_assert(check("admin", "publix", &request));
	ck_assert_int_eq(request.reason, MQTT_BAD_USER_NAME_OR_PASSWORD);
	ck_assert_uint_eq(request.identity, 0);
	ck_assert(check("adminp", "ublic", &request));
	ck_assert_int_eq(request.reason, MQTT_BAD_USER_NAME_OR_PASSWORD);
	ck_assert(check("", "public", &request));
	ck_assert_int_eq(request.reason, MQTT_BAD_USER_NAME_OR_PASSWORD);
}
END_TEST

START_TEST(a_hashed_account_is_checked_once_and_then_remembered)
{
	struct auth_request request;
	uint64_t identity;

	with_hashed_bob();
	ck_assert(!check("bob", "secret", &request));
	ck_assert_int_eq(request.reason, MQTT_SUCCESS);
	identity = request.identity;
	ck_assert_str_eq(auth_identity_name(auth, identity), "bob");
	auth_request_fini(&request);

	ck_assert(check("bob", "secret", &request));
	ck_assert_int_eq(request.reason, MQTT_SUCCESS);
	ck_assert_uint_eq(request.identity, identity);
	auth_request_fini(&request);
}
END_TEST

START_TEST(all_failures_take_the_slow_way_if_one_does)
{
	static const char *const users[] = { "bob", "admin", "nobody" };
	struct auth_request request;

	with_hashed_bob();
	for (int i = 0; i < 3; i++) {
		ck_assert(!check(users[i], "wrong", &request));
		ck_assert_int_eq(
		    request.reason, MQTT_BAD_USER_NAME_OR_PASSWORD);
		auth_request_fini(&request);
	}
	/* Nor does another account's right password help. */
	ck_assert(!check("admin", "secret", &request));
	ck_assert_int_eq(request.reason, MQTT_BAD_USER_NAME_OR_PASSWORD);
	auth_request_fini(&request);
}
END_TEST

/* Nor is it told apart from a wrong password. */
START_TEST(no_password_opens_an_account_that_has_none)
{
	static const char *const passwords[] = { "", "*", "public" };
	static char pump[] = "pump", none[] = CONF_NO_PASSWORD;
	struct auth_request request;

	accounts[2] = (struct conf_account){ .name = pump,
		.hash = none,
		.scopes = CONF_SCOPES_ALL,
		.publish = all };
	conf.account_count = 3;
	accounts[1].hash = bob_hash;
	ck_assert_int_eq(
	    crypto_pwhash_str_alg(bob_hash, "secret", 6,
		crypto_pwhash_OPSLIMIT_MIN, crypto_pwhash_MEMLIMIT_MIN,
		crypto_pwhash_ALG_ARGON2ID13),
	    0);
	auth = auth_new(&conf);
	ck_assert_ptr_nonnull(auth);
	ck_assert(!check("pump", passwords[_i], &request));
	ck_assert_uint_eq(request.reason, MQTT_BAD_USER_NAME_OR_PASSWORD);
	auth_request_fini(&request);
	/* Who is proved otherwise has its account. */
	ck_assert_uint_gt(auth_identity_of(auth, slice_of_string("pump")), 1);
	ck_assert_str_eq(auth_identity_name(auth,
			     auth_identity_of(auth, slice_of_string("pump"))),
	    "pump");
}
END_TEST

START_TEST(a_name_with_a_nul_is_nobody)
{
	struct auth_request request = { .mail.open = open_answer,
		.reply = mailbox };

	auth = auth_new(&conf);
	ck_assert(auth_check(auth, slice_of("admin\0x", 7),
	    slice_of_string("public"), &request));
	ck_assert_int_eq(request.reason, MQTT_BAD_USER_NAME_OR_PASSWORD);
}
END_TEST

START_TEST(a_full_queue_is_answered_busy)
{
	static struct auth_request requests[2000];
	unsigned busy = 0, slow = 0;

	with_hashed_bob();
	for (unsigned i = 0; i < 2000 && busy == 0; i++) {
		requests[i].mail.open = open_answer;
		requests[i].reply = mailbox;
		if (!auth_check(auth, slice_of_string("bob"),
			slice_of_string("wrong"), &requests[i]))
			slow++;
		else if (requests[i].reason == MQTT_SERVER_BUSY)
			busy++;
	}
	ck_assert_uint_eq(busy, 1);
	/* Those that still wait are answered when the broker ends. */
	auth_free(auth);
	auth = NULL;
	ck_assert_uint_eq(mailbox_open(mailbox, 0), slow);
	for (unsigned i = 0; i < 2000; i++)
		auth_request_fini(&requests[i]);
}
END_TEST

START_TEST(identities_are_known_until_the_very_end)
{
	struct auth_request request;
	uint64_t identity;

	with_hashed_bob();
	check("admin", "public", &request);
	identity = request.identity;
	auth_stop(auth);
	auth_stop(auth);
	ck_assert(auth_identity_is_valid(auth, identity));
	ck_assert_str_eq(auth_identity_name(auth, identity), "admin");
	ck_assert(check("admin", "public", &request));
	ck_assert_int_eq(request.reason, MQTT_SUCCESS);
	/* Nobody is left to hash. */
	ck_assert(check("bob", "secret", &request));
	ck_assert_int_eq(request.reason, MQTT_SERVER_BUSY);
	auth_request_fini(&request);
}
END_TEST

START_TEST(handles_cannot_be_guessed)
{
	struct auth_request request;
	uint64_t first;

	auth = auth_new(&conf);
	check("admin", "public", &request);
	first = request.identity;
	ck_assert(!auth_identity_is_valid(auth, 0));
	ck_assert(!auth_identity_is_valid(auth, first + 1));
	ck_assert(auth_identity_is_valid(auth, AUTH_ANONYMOUS));
	ck_assert_str_eq(auth_identity_name(auth, AUTH_ANONYMOUS), "");
	auth_free(auth);

	auth = auth_new(&conf);
	ck_assert(!auth_identity_is_valid(auth, first));
}
END_TEST

START_TEST(an_account_may_all_and_who_has_no_name_only_publish)
{
	static const enum auth_right rights[] = { AUTH_PUBLISH, AUTH_READ,
		AUTH_MANAGE };
	struct auth_request request;
	struct slice topic = slice_of_string("a/b");

	auth = auth_new(&conf);
	check("admin", "public", &request);
	for (int i = 0; i < 3; i++) {
		ck_assert(auth_identity_may(auth, request.identity, rights[i]));
		ck_assert(!auth_identity_may(auth, 0, rights[i]));
		ck_assert(
		    !auth_identity_may(auth, request.identity + 1, rights[i]));
		ck_assert_int_eq(
		    auth_identity_may(auth, AUTH_ANONYMOUS, rights[i]), i == 0);
	}
	ck_assert(auth_identity_may_publish(auth, request.identity, topic));
	ck_assert(auth_identity_may_publish(auth, AUTH_ANONYMOUS, topic));
	ck_assert(!auth_identity_may_publish(auth, 0, topic));
	ck_assert(!auth_identity_may_publish(
	    auth, request.identity, slice_of_string("$SYS/broker/uptime")));
}
END_TEST

/* A start with httpd: what it answers to `user` and `password`. */
static uint64_t
identity_at_start(const char *user, const char *password)
{
	struct auth_request request;

	auth_free(auth);
	conf.http.enabled = true;
	auth = auth_new(&conf);
	ck_assert_ptr_nonnull(auth);
	check(user, password, &request);
	ck_assert_int_eq(request.reason, MQTT_SUCCESS);
	auth_request_fini(&request);
	return request.identity;
}

START_TEST(with_http_handles_are_good_for_the_next_broker_too)
{
	static char other[] = "other";
	uint64_t first, hashed;

	with_hashed_bob();
	first = identity_at_start("admin", "public");
	hashed = identity_at_start("bob", "secret");
	ck_assert_uint_ne(first, hashed);
	ck_assert_uint_eq(identity_at_start("bob", "secret"), hashed);
	ck_assert_uint_eq(identity_at_start("admin", "public"), first);
	ck_assert_str_eq(auth_identity_name(auth, hashed), "bob");

	/* Another password is another handle; the former one is void. */
	accounts[0].password = other;
	ck_assert_uint_ne(identity_at_start("admin", "other"), first);
	ck_assert(!auth_identity_is_valid(auth, first));
	ck_assert(auth_identity_is_valid(auth, hashed));

	/* Another name with the same password is somebody else. */
	accounts[0] =
	    (struct conf_account){ .name = other, .password = public };
	ck_assert_uint_ne(identity_at_start("other", "public"), first);
	ck_assert(!auth_identity_is_valid(auth, first));
}
END_TEST

START_TEST(the_same_password_has_another_handle_elsewhere)
{
	uint64_t here;
	char path[128];

	here = identity_at_start("admin", "public");
	snprintf(path, sizeof(path), "%s/" AUTH_KEY_FILE, state_dir);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_uint_ne(identity_at_start("admin", "public"), here);
}
END_TEST

/* What is in the file that shall hold the key, and its mode. */
static void
write_key_file(size_t length, mode_t mode)
{
	static const char bytes[2 * AUTH_KEY_BYTES] = "not random at all";
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/" AUTH_KEY_FILE, state_dir);
	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(bytes, 1, length, file), length);
	ck_assert_int_eq(fclose(file), 0);
	ck_assert_int_eq(chmod(path, mode), 0);
}

/* _i: cut short, too long, for others to read; at last as it should be. */
START_TEST(a_key_that_cannot_be_trusted_is_replaced)
{
	static const size_t lengths[] = { AUTH_KEY_BYTES - 1,
		AUTH_KEY_BYTES + 1, AUTH_KEY_BYTES, AUTH_KEY_BYTES };
	static const mode_t modes[] = { 0600, 0600, 0640, 0600 };
	uint8_t key[AUTH_KEY_BYTES], again[AUTH_KEY_BYTES];
	char path[128];
	struct stat st;

	ck_assert_int_eq(auth_key_load(state_dir, key), 0);
	write_key_file(lengths[_i], modes[_i]);
	ck_assert_int_eq(auth_key_load(state_dir, key), 0);
	ck_assert_int_eq(memcmp(key, "not random at all", 17) == 0, _i == 3);
	ck_assert_int_eq(auth_key_load(state_dir, again), 0);
	ck_assert_mem_eq(key, again, sizeof(key));

	snprintf(path, sizeof(path), "%s/" AUTH_KEY_FILE, state_dir);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	ck_assert_uint_eq((uint64_t)st.st_size, AUTH_KEY_BYTES);
}
END_TEST

START_TEST(a_key_that_cannot_be_kept_is_good_for_one_life)
{
	uint8_t key[AUTH_KEY_BYTES] = { 0 }, other[AUTH_KEY_BYTES] = { 0 };

	ck_assert_int_eq(auth_key_load("/proc/no/such/folder", key), -ENOENT);
	ck_assert_int_eq(auth_key_load("/proc/no/such/folder", other), -ENOENT);
	ck_assert_int_ne(memcmp(key, other, sizeof(key)), 0);
}
END_TEST

/* ---- keys, scopes, and other accounts while it runs ---------------------- */

static char ci[] = "ci", ci_secret[] = "0123456789abcdef";
static char plant[] = "plant/#", line_1[] = "line/+/1";
static char *ci_topics[] = { plant, line_1 };
static struct conf_key_account ci_key = { .name = ci,
	.secret = ci_secret,
	.scopes = CONF_SCOPE_PUBLISH,
	.publish = { .list = ci_topics, .count = 2 } };

static void
with_a_key(void)
{
	conf.http.enabled = true;
	conf.http.keys = &ci_key;
	conf.http.key_count = 1;
	ck_assert(mkdir(state_dir, 0700) == 0 || errno == EEXIST);
	auth = auth_new(&conf);
	ck_assert_ptr_nonnull(auth);
}

static uint64_t
identity_of(const char *user, const char *password, enum auth_kind kind)
{
	struct auth_request request = {
		.mail.open = open_answer, .reply = mailbox, .kind = kind
	};

	ck_assert(auth_check(
	    auth, slice_of_string(user), slice_of_string(password), &request));
	ck_assert_int_eq(request.reason == MQTT_SUCCESS, request.identity != 0);
	return request.identity;
}

START_TEST(a_key_opens_http_and_not_mqtt)
{
	uint64_t identity;

	with_a_key();
	identity = identity_of("ci", ci_secret, AUTH_OF_HTTP);
	ck_assert_uint_ne(identity, 0);
	ck_assert_str_eq(auth_identity_name(auth, identity), "ci");
	ck_assert_uint_eq(identity_of("ci", ci_secret, AUTH_OF_MQTT), 0);
	ck_assert_uint_eq(
	    identity_of("ci", "0123456789abcdeg", AUTH_OF_HTTP), 0);
	/* No session is a key's. */
	ck_assert_uint_eq(auth_identity_of(auth, slice_of_string("ci")), 0);
	ck_assert_uint_ne(identity_of("admin", "public", AUTH_OF_HTTP), 0);
}
END_TEST

START_TEST(a_key_may_what_its_scopes_and_filters_say)
{
	static const struct {
		const char *topic;
		bool may;
	} topics[] = {
		{ "plant/1/a", true },
		{ "plant", true },
		{ "plan", false },
		{ "line/7/1", true },
		{ "line/7/2", false },
		{ "$SYS/plant", false },
	};
	uint64_t identity;

	with_a_key();
	identity = identity_of("ci", ci_secret, AUTH_OF_HTTP);
	ck_assert(auth_identity_may(auth, identity, AUTH_PUBLISH));
	ck_assert(!auth_identity_may(auth, identity, AUTH_READ));
	ck_assert(!auth_identity_may(auth, identity, AUTH_MANAGE));
	for (size_t i = 0; i < sizeof(topics) / sizeof(topics[0]); i++)
		ck_assert_msg(
		    auth_identity_may_publish(auth, identity,
			slice_of_string(topics[i].topic)) == topics[i].may,
		    "%s", topics[i].topic);
}
END_TEST

START_TEST(without_the_scope_or_filters_nothing_is_published)
{
	uint64_t identity;

	accounts[0].scopes = CONF_SCOPE_READ | CONF_SCOPE_MANAGE;
	accounts[2] = accounts[0];
	accounts[2].name = ci;
	accounts[2].scopes = CONF_SCOPES_ALL;
	accounts[2].publish.count = 0;
	accounts[1] = accounts[2];
	conf.account_count = 2;
	auth = auth_new(&conf);
	identity = identity_of("admin", "public", AUTH_OF_HTTP);
	ck_assert(
	    !auth_identity_may_publish(auth, identity, slice_of_string("a")));
	ck_assert(auth_identity_may(auth, identity, AUTH_READ));
	identity = identity_of("ci", "public", AUTH_OF_HTTP);
	ck_assert(auth_identity_may(auth, identity, AUTH_PUBLISH));
	ck_assert(
	    !auth_identity_may_publish(auth, identity, slice_of_string("a")));
}
END_TEST

static void
write_secret(const char *text, mode_t mode, char path[128])
{
	FILE *file;

	snprintf(path, 128, "%s/secret", state_dir);
	ck_assert(mkdir(state_dir, 0700) == 0 || errno == EEXIST);
	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	fputs(text, file);
	fclose(file);
	ck_assert_int_eq(chmod(path, mode), 0);
}

START_TEST(a_secret_file_must_be_secret_and_long_enough)
{
	char path[128];

	ci_key.secret = NULL;
	ci_key.secret_file = path;
	write_secret("0123456789abcdef\n", 0640, path);
	with_a_key();
	ck_assert_uint_ne(
	    identity_of("ci", "0123456789abcdef", AUTH_OF_HTTP), 0);
	auth_free(auth);

	write_secret("0123456789abcdef\n", 0644, path);
	auth = auth_new(&conf);
	ck_assert_ptr_null(auth);
	write_secret("0123456789abcde\n", 0600, path);
	ck_assert_ptr_null(auth_new(&conf));
	unlink(path);
	ck_assert_ptr_null(auth_new(&conf));
	ci_key.secret = ci_secret;
	ci_key.secret_file = NULL;
}
END_TEST

/* Take the configuration as it is now. */
static void
reload(void)
{
	ck_assert_int_eq(auth_reload(auth, &conf), 0);
}

START_TEST(a_reload_makes_void_who_is_gone_and_nobody_else)
{
	static char other[] = "other";
	uint64_t admins, keys;

	with_a_key();
	admins = identity_of("admin", "public", AUTH_OF_HTTP);
	keys = identity_of("ci", ci_secret, AUTH_OF_HTTP);
	reload();
	ck_assert(auth_identity_is_valid(auth, admins));

	/* Scopes change under the same handle. */
	ci_key.scopes = CONF_SCOPE_READ;
	reload();
	ck_assert(auth_identity_may(auth, keys, AUTH_READ));
	ck_assert(!auth_identity_may(auth, keys, AUTH_PUBLISH));
	ci_key.scopes = CONF_SCOPE_PUBLISH;

	conf.http.key_count = 0;
	reload();
	ck_assert(!auth_identity_is_valid(auth, keys));
	ck_assert(!auth_identity_may(auth, keys, AUTH_READ));
	ck_assert_uint_eq(identity_of("ci", ci_secret, AUTH_OF_HTTP), 0);
	ck_assert(auth_identity_is_valid(auth, admins));

	/* Another password: the session is still its owner's. */
	accounts[0].password = other;
	reload();
	ck_assert(!auth_identity_is_valid(auth, admins));
	ck_assert_uint_eq(identity_of("admin", "public", AUTH_OF_MQTT), 0);
	ck_assert_str_eq(auth_identity_name(auth, admins), "admin");
	ck_assert(auth_is_same_owner(
	    auth, admins, identity_of("admin", "other", AUTH_OF_MQTT)));
	ck_assert(!auth_is_same_owner(auth, admins, keys));
	ck_assert(!auth_is_same_owner(auth, admins, AUTH_ANONYMOUS));
	ck_assert(!auth_is_same_owner(auth, 77, 78));

	/* All are back: as if nothing had been. */
	accounts[0].password = public;
	conf.http.key_count = 1;
	reload();
	ck_assert(auth_identity_is_valid(auth, admins));
	ck_assert(auth_identity_may(auth, keys, AUTH_PUBLISH));
}
END_TEST

START_TEST(a_reload_that_is_refused_changes_nothing)
{
	uint64_t identity;

	with_a_key();
	identity = identity_of("admin", "public", AUTH_OF_HTTP);
	accounts[0].name = bob;
	accounts[1] = accounts[0];
	conf.account_count = 2;
	ck_assert_int_eq(auth_reload(auth, &conf), -EINVAL);
	ck_assert(auth_identity_is_valid(auth, identity));
	ck_assert_uint_eq(
	    identity_of("admin", "public", AUTH_OF_HTTP), identity);
}
END_TEST

START_TEST(what_was_remembered_is_void_with_its_account)
{
	struct auth_request request;
	uint64_t identity;

	with_hashed_bob();
	check("bob", "secret", &request);
	identity = request.identity;
	auth_request_fini(&request);
	conf.account_count = 1;
	reload();
	ck_assert(!auth_identity_is_valid(auth, identity));
	check("bob", "secret", &request);
	ck_assert_int_eq(request.reason, MQTT_BAD_USER_NAME_OR_PASSWORD);
	auth_request_fini(&request);
}
END_TEST

/* ---- tokens; what is in them is for test_auth_jwt ---------------------------
 */

#define TOKEN_SECRET "0123456789abcdef0123456789abcdef"

static char token_path[128], token_sub[] = "sub", token_scope[] = "scope";
static struct conf_jwt token_rule = { .algorithm = CONF_JWT_HS256,
	.key_file = token_path,
	.account_claim = token_sub,
	.scope_claim = token_scope };

static void
with_tokens(void)
{
	write_secret(TOKEN_SECRET "\n", 0600, token_path);
	conf.http.jwt = &token_rule;
	conf.http.jwt_count = 1;
	with_a_key();
	unlink(token_path);
}

/* What the broker says to a token with these claims. */
static struct auth_request
judge(const char *claims)
{
	static const char header[] = "eyJhbGciOiJIUzI1NiJ9."; /* HS256 */
	struct auth_request request = { .mail.open = open_answer,
		.reply = mailbox,
		.kind = AUTH_OF_TOKEN };
	struct pollfd fd = { .fd = mailbox_fd(mailbox), .events = POLLIN };
	uint8_t mac[crypto_auth_hmacsha256_BYTES];
	crypto_auth_hmacsha256_state state;
	char token[1024];
	size_t length;

	strcpy(token, header);
	sodium_bin2base64(token + strlen(token), 512, (const uint8_t *)claims,
	    strlen(claims), sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	crypto_auth_hmacsha256_init(
	    &state, (const uint8_t *)TOKEN_SECRET, strlen(TOKEN_SECRET));
	crypto_auth_hmacsha256_update(
	    &state, (const uint8_t *)token, strlen(token));
	crypto_auth_hmacsha256_final(&state, mac);
	length = strlen(token);
	token[length++] = '.';
	sodium_bin2base64(token + length, sizeof(token) - length, mac,
	    sizeof(mac), sodium_base64_VARIANT_URLSAFE_NO_PADDING);

	answered = false;
	ck_assert(!auth_check(
	    auth, slice_of(NULL, 0), slice_of_string(token), &request));
	while (!answered) {
		ck_assert_int_eq(poll(&fd, 1, 5000), 1);
		mailbox_open(mailbox, 0);
	}
	auth_request_fini(&request);
	return request;
}

#define LATER "\"exp\":9000000000"

START_TEST(a_token_stands_for_its_account)
{
	struct auth_request request;
	uint64_t whole;

	with_tokens();
	whole = identity_of("admin", "public", AUTH_OF_HTTP);
	request = judge("{\"sub\":\"admin\"," LATER "}");
	ck_assert_int_eq(request.reason, MQTT_SUCCESS);
	ck_assert_uint_eq(request.identity, whole);
	ck_assert_uint_eq(request.ends_ns, UINT64_C(9000000000) * 1000000000);

	/* Nobody, a key, and a token that is over. */
	request = judge("{\"sub\":\"nobody\"," LATER "}");
	ck_assert_int_eq(request.reason, MQTT_BAD_USER_NAME_OR_PASSWORD);
	ck_assert_int_eq(request.detail, RECORD_TOKEN_ACCOUNT);
	ck_assert_uint_eq(request.identity, 0);
	request = judge("{\"sub\":\"ci\"," LATER "}");
	ck_assert_int_eq(request.detail, RECORD_TOKEN_ACCOUNT);
	request = judge("{\"sub\":\"admin\",\"exp\":1}");
	ck_assert_int_eq(request.detail, RECORD_TOKEN_EXPIRED);
	ck_assert_uint_eq(request.identity, 0);
}
END_TEST

START_TEST(a_token_that_names_nobody_has_the_account_of_its_rule)
{
	struct auth_request request;

	token_rule.account = admin;
	with_tokens();
	request = judge("{\"sub\":\"ci\"," LATER "}");
	ck_assert_str_eq(auth_identity_name(auth, request.identity), "admin");
	auth_free(auth);

	/* A key stands for no token, whoever names it. */
	token_rule.account = ci;
	with_tokens();
	request = judge("{" LATER "}");
	ck_assert_int_eq(request.detail, RECORD_TOKEN_ACCOUNT);
	ck_assert_uint_eq(request.identity, 0);
	token_rule.account = NULL;
}
END_TEST

/* ---- while others look -----------------------------------------------------
 */

static _Atomic bool is_over;
static _Atomic uint64_t looks;

/* The account is there in one configuration, and in the next it is not. */
static void *
look(void *arg)
{
	const uint64_t identity = *(const uint64_t *)arg;
	struct slice topic = slice_of_string("a");
	const char *name;

	rcu_thread_start();
	while (!is_over) {
		name = auth_identity_name(auth, identity);
		ck_assert_str_eq(name, "ci");
		ck_assert(auth_is_same_owner(auth, identity, identity));
		(void)auth_identity_may_publish(auth, identity, topic);
		(void)auth_identity_may(auth, identity, AUTH_READ);
		looks++;
	}
	rcu_thread_end();
	return NULL;
}

START_TEST(a_reload_disturbs_nobody_who_looks)
{
	uint64_t identity;
	pthread_t thread;

	with_a_key();
	identity = identity_of("ci", ci_secret, AUTH_OF_HTTP);
	ck_assert_int_eq(pthread_create(&thread, NULL, look, &identity), 0);
	while (looks == 0) /* it has begun */
		sched_yield();
	for (int i = 0; i < 200; i++) {
		conf.http.key_count = i % 2;
		reload();
	}
	is_over = true;
	pthread_join(thread, NULL);
	ck_assert(auth_identity_is_valid(auth, identity));
}
END_TEST

START_TEST(a_narrow_token_is_another_handle_of_the_same_account)
{
	struct slice topic = slice_of_string("a");
	uint64_t whole, narrow;

	with_tokens();
	whole = identity_of("admin", "public", AUTH_OF_HTTP);
	narrow =
	    judge("{\"sub\":\"admin\",\"scope\":\"read\"," LATER "}").identity;
	ck_assert_uint_ne(narrow, whole);
	ck_assert(auth_identity_is_valid(auth, narrow));
	ck_assert(auth_identity_may(auth, narrow, AUTH_READ));
	ck_assert(!auth_identity_may(auth, narrow, AUTH_MANAGE));
	ck_assert(!auth_identity_may_publish(auth, narrow, topic));
	ck_assert_str_eq(auth_identity_name(auth, narrow), "admin");
	ck_assert(auth_is_same_owner(auth, narrow, whole));
	ck_assert_uint_eq(auth_identity_account(auth, narrow),
	    auth_identity_account(auth, whole));
	ck_assert_uint_ne(auth_identity_account(auth, whole), whole);
	ck_assert_uint_ne(auth_identity_account(auth, whole), 0);

	/* What the account has not, the token has not. */
	accounts[0].scopes = CONF_SCOPE_PUBLISH;
	write_secret(TOKEN_SECRET, 0600, token_path);
	reload();
	unlink(token_path);
	ck_assert(!auth_identity_may(auth, narrow, AUTH_READ));

	/* Good for the next broker; void without its account. */
	accounts[0].scopes = CONF_SCOPES_ALL;
	auth_free(auth);
	with_tokens();
	ck_assert(auth_identity_may(auth, narrow, AUTH_READ));
	conf.account_count = 0;
	write_secret(TOKEN_SECRET, 0600, token_path);
	reload();
	unlink(token_path);
	ck_assert(!auth_identity_is_valid(auth, narrow));
}
END_TEST

START_TEST(without_accounts_http_gets_a_random_one_that_stays)
{
	struct auth_request request;
	char path[128], line[128], *password;
	struct stat st;
	FILE *file;

	conf.account_count = 0;
	conf.http.enabled = true;
	auth = auth_new(&conf);
	ck_assert_ptr_nonnull(auth);
	ck_assert(auth_has_accounts(auth));
	auth_free(auth);
	auth = auth_new(&conf); /* the next start finds the file */

	snprintf(path, sizeof(path), "%s/" AUTH_INITIAL_FILE, state_dir);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	file = fopen(path, "r");
	ck_assert_ptr_nonnull(fgets(line, sizeof(line), file));
	fclose(file);
	line[strlen(line) - 1] = '\0';
	password = strchr(line, ':');
	*password++ = '\0';
	ck_assert_uint_eq(strlen(password), 20);
	check(line, password, &request);
	ck_assert_int_eq(request.reason, MQTT_SUCCESS);
}
END_TEST

/* The start that was to make it died: before its name, or behind it. */
START_TEST(a_random_account_is_whole_or_not_there)
{
	char path[128];
	FILE *file;

	conf.account_count = 0;
	conf.http.enabled = true;
	ck_assert_int_eq(mkdir(state_dir, 0750), 0);
	snprintf(path, sizeof(path), "%s/" AUTH_INITIAL_FILE ".new", state_dir);
	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	fputs("adm", file);
	fclose(file);
	auth = auth_new(&conf);
	ck_assert_ptr_nonnull(auth);
	ck_assert(auth_has_accounts(auth));
	ck_assert_int_eq(access(path, F_OK), -1);
}
END_TEST

START_TEST(without_http_there_is_no_account)
{
	conf.account_count = 0;
	auth = auth_new(&conf);
	ck_assert(!auth_has_accounts(auth));
	ck_assert_int_eq(access(state_dir, F_OK), -1);
}
END_TEST

START_TEST(doubles_and_foreign_hashes_are_refused)
{
	static char bcrypt[] = "$2b$12$abcdefghijklmnopqrstuv";
	static char greedy[] = "$argon2id$v=19$m=99999999,t=2,p=1$c2FsdHNhbHQ$"
			       "aGFzaGhhc2hoYXNoaGFzaA";

	accounts[1] =
	    (struct conf_account){ .name = admin, .password = public };
	conf.account_count = 2;
	ck_assert_ptr_null(auth_new(&conf));
	ck_assert_int_eq(errno, EINVAL);

	accounts[1] = (struct conf_account){ .name = bob, .hash = bcrypt };
	ck_assert_ptr_null(auth_new(&conf));
	accounts[1].hash = greedy;
	ck_assert_ptr_null(auth_new(&conf));
}
END_TEST

START_TEST(gives_a_verifier_for_every_name_and_an_identity_for_some)
{
	struct auth_scram admin_is, again, nobody, other;

	with_hashed_bob();
	auth = auth_new(&conf);
	ck_assert_ptr_nonnull(auth);
	auth_scram_of(auth, "admin", &admin_is);
	ck_assert_uint_eq(admin_is.identity,
	    auth_identity_of(auth, slice_of_string("admin")));
	auth_scram_of(auth, "nobody", &nobody);
	auth_scram_of(auth, "nobody", &again);
	auth_scram_of(auth, "bob", &other); /* has a hash alone */
	ck_assert_uint_eq(nobody.identity, 0);
	ck_assert_uint_eq(other.identity, 0);
	ck_assert_mem_eq(&nobody.verifier.salt, &again.verifier.salt, 16);
	ck_assert_mem_ne(&nobody.verifier.salt, &other.verifier.salt, 16);
	ck_assert_uint_eq(
	    nobody.verifier.iterations, admin_is.verifier.iterations);
	ck_assert_uint_eq(
	    nobody.verifier.salt_length, admin_is.verifier.salt_length);

	reload();
	auth_scram_of(auth, "admin", &again);
	ck_assert_mem_eq(&admin_is, &again, sizeof(again));
	accounts[0].password = bob;
	reload();
	auth_scram_of(auth, "admin", &again);
	ck_assert_mem_ne(admin_is.verifier.stored_key,
	    again.verifier.stored_key, SCRAM_KEY_BYTES);
	ck_assert_uint_ne(admin_is.identity, again.identity);
}
END_TEST

START_TEST(refuses_a_verifier_that_is_none)
{
	static char text[] = "$scram-sha-256$i=1$";

	with_hashed_bob();
	accounts[1].scram = text;
	ck_assert_ptr_null(auth_new(&conf));
	ck_assert_int_eq(errno, EINVAL);
}
END_TEST

START_TEST(gives_the_access_of_the_account_that_has_the_name_now)
{
	static char some[] = "a/%u/%c";
	static char *list[] = { some };
	const struct conf_strings limited = { .list = list, .count = 1 };
	struct access *access;
	uint64_t before;

	accounts[0].subscribe = all;
	auth = auth_new(&conf);
	before = auth_identity_of(auth, slice_of_string("admin"));
	ck_assert_int_eq(
	    auth_access(auth, before, slice_of_string("c"), &access), 0);
	ck_assert_ptr_null(access);
	ck_assert(!auth_limits_subscriptions(auth));

	/* Another password, and other filters: the old handle has those. */
	accounts[0].password = bob;
	accounts[0].publish = limited;
	accounts[0].subscribe = limited;
	reload();
	ck_assert(!auth_identity_is_valid(auth, before));
	ck_assert(auth_limits_subscriptions(auth));
	ck_assert_int_eq(
	    auth_access(auth, before, slice_of_string("c"), &access), 0);
	ck_assert_ptr_nonnull(access);
	ck_assert(access_may_publish(access, slice_of_string("a/admin/c")));
	ck_assert(!access_may_publish(access, slice_of_string("a/admin/d")));
	access_free(access);

	/* Who is nobody may nothing. */
	ck_assert_int_eq(
	    auth_access(auth, 77, slice_of_string("c"), &access), 0);
	ck_assert_ptr_nonnull(access);
	ck_assert(!access_may_publish(access, slice_of_string("a/admin/c")));
	access_free(access);
	ck_assert_int_eq(
	    auth_access(auth, AUTH_ANONYMOUS, slice_of_string("c"), &access),
	    0);
	ck_assert_ptr_null(access);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("auth");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, an_account_of_the_configuration_is_answered_at_once);
	tcase_add_test(
	    tc, a_hashed_account_is_checked_once_and_then_remembered);
	tcase_add_test(tc, all_failures_take_the_slow_way_if_one_does);
	tcase_add_loop_test(
	    tc, no_password_opens_an_account_that_has_none, 0, 3);
	tcase_add_test(tc, a_name_with_a_nul_is_nobody);
	tcase_add_test(tc, a_full_queue_is_answered_busy);
	tcase_add_test(tc, identities_are_known_until_the_very_end);
	tcase_add_test(tc, handles_cannot_be_guessed);
	tcase_add_test(tc, an_account_may_all_and_who_has_no_name_only_publish);
	tcase_add_test(tc, with_http_handles_are_good_for_the_next_broker_too);
	tcase_add_test(tc, the_same_password_has_another_handle_elsewhere);
	tcase_add_loop_test(tc, a_key_that_cannot_be_trusted_is_replaced, 0, 4);
	tcase_add_test(tc, a_key_that_cannot_be_kept_is_good_for_one_life);
	tcase_add_test(tc, a_key_opens_http_and_not_mqtt);
	tcase_add_test(tc, a_key_may_what_its_scopes_and_filters_say);
	tcase_add_test(tc, without_the_scope_or_filters_nothing_is_published);
	tcase_add_test(tc, a_secret_file_must_be_secret_and_long_enough);
	tcase_add_test(tc, a_reload_makes_void_who_is_gone_and_nobody_else);
	tcase_add_test(tc, a_reload_that_is_refused_changes_nothing);
	tcase_add_test(tc, what_was_remembered_is_void_with_its_account);
	tcase_add_test(tc, a_token_stands_for_its_account);
	tcase_add_test(
	    tc, a_token_that_names_nobody_has_the_account_of_its_rule);
	tcase_add_test(tc, a_reload_disturbs_nobody_who_looks);
	tcase_add_test(
	    tc, a_narrow_token_is_another_handle_of_the_same_account);
	tcase_add_test(tc, without_accounts_http_gets_a_random_one_that_stays);
	tcase_add_test(tc, a_random_account_is_whole_or_not_there);
	tcase_add_test(tc, without_http_there_is_no_account);
	tcase_add_test(tc, doubles_and_foreign_hashes_are_refused);
	tcase_add_test(
	    tc, gives_a_verifier_for_every_name_and_an_identity_for_some);
	tcase_add_test(tc, refuses_a_verifier_that_is_none);
	tcase_add_test(
	    tc, gives_the_access_of_the_account_that_has_the_name_now);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
