/* SPDX-License-Identifier: Apache-2.0 */

/* What listeners may say: Unix sockets, WebSocket, proxies, TLS. */

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/base/parse.h"
#include "common/conf/conf.h"
#include "tests/unit/unit.h"

static char path[] = "/tmp/weir-test-listener-XXXXXX";
static char *messages; /* of the last load() */
static struct conf *conf;

static void
set_up(void)
{
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	close(fd);
}

static void
tear_down(void)
{
	conf_free(conf);
	conf = NULL;
	free(messages);
	messages = NULL;
	unlink(path);
}

/* A configuration with this listener. */
static int
load(const char *listener)
{
	FILE *file = fopen(path, "w"), *errors;
	size_t len;
	int err;

	ck_assert_ptr_nonnull(file);
	fprintf(file, "listeners = ( {\n%s } );\n", listener);
	fclose(file);
	conf_free(conf);
	conf = NULL;
	free(messages);
	errors = open_memstream(&messages, &len);
	err = conf_load(path, &conf, errors);
	fclose(errors);
	return err;
}

static const struct conf_listener *
loaded(const char *listener)
{
	int err = load(listener);

	ck_assert_msg(err == 0, "%s", messages);
	return &conf->listeners[0];
}

static void
refused(const char *listener, const char *words)
{
	ck_assert_int_eq(load(listener), -EINVAL);
	ck_assert_ptr_null(conf);
	ck_assert_msg(
	    strstr(messages, words) != NULL && strstr(messages, ":2: ") != NULL,
	    "\"%s\" is not in \"%s\"", words, messages);
}

#define BIND "bind = \"127.0.0.1:0\";"

START_TEST(a_unix_socket_has_a_path_a_mode_and_a_group)
{
	const struct conf_listener *listener;

	listener = loaded("bind = \"unix:/run/weir/mqtt.sock\";");
	ck_assert_str_eq(
	    parse_unix_path(listener->bind), "/run/weir/mqtt.sock");
	ck_assert_str_eq(listener->mode, "0660");
	ck_assert_ptr_null(listener->group);
	listener = loaded("bind = \"unix:/a\"; mode = \"600\"; group = \"g\";");
	ck_assert_str_eq(listener->mode, "600");
	ck_assert_str_eq(listener->group, "g");
	refused("bind = \"unix:mqtt.sock\";", "begin with /");
	refused("bind = \"unix:\";", "begin with /");
	refused("bind = \"unix:/run/\";", "that of a file");
	refused("bind = \"unix:/a123456789b123456789c123456789d123456789"
		"e123456789f123456789g123456789h123456789i123456789j12345678"
		"k123456789\";",
	    "up to 107");
	refused("bind = \"unix:/a\"; mode = \"0440\";", "lets the owner");
	refused("bind = \"unix:/a\"; mode = \"668\";", "octal digits");
	refused("bind = \"unix:/a\"; mode = \"1660\";", "octal digits");
	refused("bind = \"unix:/a\"; mode = \"06600\";", "allowed: 3 to 4");
	refused(BIND " mode = \"0660\";", "mode is for Unix sockets");
	refused(BIND " group = \"g\";", "group is for Unix sockets");
	ck_assert_ptr_null(parse_unix_path("127.0.0.1:1883"));
}
END_TEST

START_TEST(a_unix_socket_is_local)
{
	ck_assert(loaded("bind = \"unix:/a\";")->allow_anonymous);
	ck_assert(!loaded("bind = \"unix:/a\"; allow_anonymous = false;")
		       ->allow_anonymous);
	ck_assert(!loaded("bind = \"0.0.0.0:0\";")->allow_anonymous);
}
END_TEST

START_TEST(websocket_is_a_path)
{
	ck_assert_ptr_null(loaded(BIND)->websocket);
	ck_assert_str_eq(
	    loaded(BIND " websocket = \"/mqtt\";")->websocket, "/mqtt");
	loaded(BIND " websocket = \"/\";");
	loaded(BIND " websocket = \"/a/b-c_d.e~f%20!$&'()*+,;=:@\";");
	refused(BIND " websocket = \"mqtt\";", "must be a path");
	refused(BIND " websocket = \"/mq tt\";", "must be a path");
	refused(BIND " websocket = \"/mqtt?x\";", "must be a path");
	refused(BIND " websocket = \"/m\xc3\xa4\";", "must be a path");
	refused(BIND " websocket = \"\";", "allowed: 1 to 255");
}
END_TEST

START_TEST(origins_are_schemes_with_hosts)
{
	const struct conf_listener *listener;

	listener = loaded(BIND " websocket = \"/\";");
	ck_assert_uint_eq(listener->websocket_origins.count, 0);
	listener = loaded(BIND " websocket = \"/\"; websocket_origins = "
			       "[ \"https://a.example\", \"http://b:80\" ];");
	ck_assert_uint_eq(listener->websocket_origins.count, 2);
	ck_assert_str_eq(listener->websocket_origins.list[1], "http://b:80");
	listener = loaded(BIND
	    " websocket = \"/\"; websocket_origins = \"https://[::1]:3\";");
	ck_assert_uint_eq(listener->websocket_origins.count, 1);
	refused(
	    BIND " websocket_origins = \"https://a.example\";", "websocket");
	refused(BIND " websocket = \"/\"; websocket_origins = \"a.example\";",
	    "an origin is");
	refused(BIND
	    " websocket = \"/\"; websocket_origins = \"https://a.example/\";",
	    "an origin is");
	refused(BIND " websocket = \"/\"; websocket_origins = \"https://\";",
	    "an origin is");
	refused(BIND " websocket = \"/\"; websocket_origins = \"://a\";",
	    "an origin is");
}
END_TEST

START_TEST(proxies_are_networks)
{
	const struct conf_strings *from;

	ck_assert(!loaded(BIND)->proxy_protocol);
	ck_assert_uint_eq(conf->listeners[0].proxy_from.count, 0);
	from = &loaded(BIND " proxy_protocol = true;")->proxy_from;
	ck_assert(conf->listeners[0].proxy_protocol);
	ck_assert_uint_eq(from->count, 2);
	ck_assert_str_eq(from->list[0], "127.0.0.0/8");
	ck_assert_str_eq(from->list[1], "::1");
	from = &loaded(BIND " proxy_protocol = true; proxy_from = [ "
			    "\"10.0.0.0/8\", \"fd00::7\" ];")
		    ->proxy_from;
	ck_assert_uint_eq(from->count, 2);
	ck_assert_str_eq(from->list[1], "fd00::7");
	refused(BIND " proxy_from = \"10.0.0.0/8\";", "proxy_protocol = true");
	refused(BIND " proxy_protocol = true; proxy_from = \"10.0.0.1/8\";",
	    "behind its prefix");
	refused(BIND " proxy_protocol = true; proxy_from = \"my.proxy\";",
	    "behind its prefix");
}
END_TEST

/* ---- TLS ------------------------------------------------------------------
 */

START_TEST(is_plain_unless_it_has_a_tls_group)
{
	ck_assert(!loaded("bind = \"127.0.0.1:1\";")->tls.enabled);
}
END_TEST

START_TEST(takes_all_of_tls)
{
	const struct conf_listener *listener =
	    loaded("bind = \"[::]:8883\"; tls = { cert = \"/c\"; key = \"/k\";"
		   "ca_file = \"/a\"; client_cert = \"optional\";"
		   "crl_file = \"/r\"; crl_check = \"chain\";"
		   "min_version = \"1.3\"; alpn = \"mqtt\";"
		   "psk_file = \"/p\"; session_lifetime = \"10m\";"
		   "sni = ( { name = \"*.example\"; cert = \"/sc\";"
		   "key = \"/sk\"; } ); };");

	ck_assert(listener->tls.enabled);
	ck_assert_str_eq(listener->tls.cert, "/c");
	ck_assert(listener->tls.client_cert_optional);
	ck_assert_str_eq(listener->tls.crl_file, "/r");
	ck_assert(listener->tls.crl_whole_chain);
	ck_assert_int_eq(listener->tls.min_version, CONF_TLS_1_3);
	ck_assert_str_eq(listener->tls.alpn, "mqtt");
	ck_assert_str_eq(listener->tls.psk_file, "/p");
	ck_assert_uint_eq(
	    listener->tls.session_lifetime_ns, UINT64_C(600) * 1000000000);
	ck_assert_uint_eq(listener->tls.sni_count, 1);
	ck_assert_str_eq(listener->tls.sni[0].name, "*.example");
	ck_assert_int_eq(listener->tls.user_name_from, CONF_USER_NAME_NONE);
}
END_TEST

START_TEST(says_what_tls_lacks)
{
	static const struct {
		const char *tls, *words;
	} bad[] = {
		{ "", "tls needs cert and key, or psk_file" },
		{ "cert = \"/c\";", "cert and key belong together" },
		{ "psk_file = \"/p\"; ca_file = \"/a\";",
		    "sni and ca_file need cert and key" },
		{ "cert = \"/c\"; key = \"/k\"; client_cert = \"required\";",
		    "client_cert without ca_file" },
		{ "cert = \"/c\"; key = \"/k\"; crl_file = \"/r\";",
		    "crl_file without ca_file" },
		{ "cert = \"/c\"; key = \"/k\"; ca_file = \"/a\";"
		  "crl_check = \"leaf\";",
		    "crl_check without crl_file" },
		{ "cert = \"/c\"; key = \"/k\"; user_name_from = \"cn\";",
		    "it needs ca_file" },
		{ "cert = \"/c\"; key = \"/k\"; user_name_from = \"psk\";",
		    "it needs psk_file" },
		{ "psk_file = \"/p\"; user_name_from = \"psk\";",
		    "user_name_from needs accounts" },
		{ "cert = \"/c\"; key = \"/k\"; sni = ( { name = \"a*b\";"
		  "cert = \"/c\"; key = \"/k\"; } );",
		    "must be a name, or *. and a domain" },
		{ "cert = \"/c\"; key = \"/k\"; session_lifetime = \"8d\";",
		    "allowed: 0 to 7d" },
		{ "cert = \"/c\"; key = \"/k\"; psk_identity = \"x\";",
		    "psk_identity" },
	};
	char text[512];

	snprintf(text, sizeof(text), "bind = \"127.0.0.1:1\"; tls = { %s };",
	    bad[_i].tls);
	ck_assert_int_ne(load(text), 0);
	ck_assert_msg(strstr(messages, bad[_i].words) != NULL,
	    "\"%s\" not in \"%s\"", bad[_i].words, messages);
}
END_TEST

START_TEST(tls_is_in_the_bound_on_memory)
{
	struct conf_memory plain, secure;

	loaded("bind = \"127.0.0.1:1\";");
	conf_memory_bound(conf, &plain);
	loaded("bind = \"127.0.0.1:1\"; tls = { psk_file = \"/p\"; };");
	conf_memory_bound(conf, &secure);
	ck_assert_uint_eq(secure.per_connection, plain.per_connection + 65536);
}
END_TEST

/* Behind the listener, one that it may be about. */
#define ACCOUNTS " } ); accounts = ( { name = \"uid=1000\";"

START_TEST(who_names_the_account_must_be_there)
{
	ck_assert_int_eq(loaded(BIND)->peer_user, CONF_PEER_USER_NONE);
	ck_assert_int_eq(
	    loaded("bind = \"unix:/a\"; peer_user = \"unix\";" ACCOUNTS)
		->peer_user,
	    CONF_PEER_USER_UNIX);
	ck_assert_int_eq(
	    loaded(
		BIND " proxy_protocol = true; peer_user = \"proxy\";" ACCOUNTS)
		->peer_user,
	    CONF_PEER_USER_PROXY);
	loaded("bind = \"unix:/a\"; proxy_protocol = true; "
	       "peer_user = \"proxy\";" ACCOUNTS);
	refused("bind = \"unix:/a\"; peer_user = \"unix\";",
	    "peer_user needs accounts");
	refused(BIND " peer_user = \"unix\";", "for Unix sockets");
	refused("bind = \"unix:/a\"; proxy_protocol = true; "
		"peer_user = \"unix\";",
	    "without proxy_protocol");
	refused(BIND " peer_user = \"proxy\";", "with proxy_protocol");
	refused(BIND " peer_user = \"root\";", "none, unix, proxy");
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("conf_listener");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, a_unix_socket_has_a_path_a_mode_and_a_group);
	tcase_add_test(tc, a_unix_socket_is_local);
	tcase_add_test(tc, websocket_is_a_path);
	tcase_add_test(tc, origins_are_schemes_with_hosts);
	tcase_add_test(tc, proxies_are_networks);
	tcase_add_test(tc, is_plain_unless_it_has_a_tls_group);
	tcase_add_test(tc, takes_all_of_tls);
	tcase_add_loop_test(tc, says_what_tls_lacks, 0, 12);
	tcase_add_test(tc, tls_is_in_the_bound_on_memory);
	tcase_add_test(tc, who_names_the_account_must_be_there);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
