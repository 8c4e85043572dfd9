/* SPDX-License-Identifier: Apache-2.0 */

#include "common/conf/conf.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/conf/conf_table.h"
#include "tests/unit/unit.h"

#define MIB (UINT64_C(1) << 20)

static char folder[64];
static char path[96];
static char *messages; /* of the last load() */
static struct conf *conf;

static void
make_folder(void)
{
	strcpy(folder, "/tmp/weir-test-conf-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/weir.conf", folder);
}

static void
remove_folder(void)
{
	char command[128];

	conf_free(conf);
	conf = NULL;
	free(messages);
	messages = NULL;
	snprintf(command, sizeof(command), "rm -r %s", folder);
	ck_assert_int_eq(system(command), 0);
}

static void
write_file(const char *name, const char *text, mode_t mode)
{
	FILE *file = fopen(name, "w");

	ck_assert_ptr_nonnull(file);
	fputs(text, file);
	fclose(file);
	ck_assert_int_eq(chmod(name, mode), 0);
}

static int
load(const char *text)
{
	size_t len;
	FILE *errors;
	int err;

	conf_free(conf);
	conf = NULL;
	free(messages);
	messages = NULL;
	write_file(path, text, 0600);
	errors = open_memstream(&messages, &len);
	err = conf_load(path, &conf, errors);
	fclose(errors);
	return err;
}

/* The file is refused, and `wanted` is part of what is said, at that line. */
static void
refused(const char *text, int line, const char *wanted)
{
	char place[128];

	ck_assert_int_eq(load(text), -EINVAL);
	ck_assert_ptr_null(conf);
	snprintf(place, sizeof(place), "%s:%d: ", path, line);
	ck_assert_msg(
	    strstr(messages, place) != NULL && strstr(messages, wanted) != NULL,
	    "wanted \"%s\" at line %d, got: %s", wanted, line, messages);
}

/* The configuration that the project's documents print. */
static const char documented[] =
    "run_dir   = \"/run/weir\";\n"
    "state_dir = \"/var/lib/weir\";\n"
    "listeners = ( { bind = \"127.0.0.1:1883\"; } );\n"
    "allow_anonymous = true;\n"
    "durability = \"process\";\n"
    "accounts = ( { name = \"admin\"; password = \"public\"; } );\n"
    "http = { bind = \"127.0.0.1:8081\"; stall_timeout = \"2s\";\n"
    "  rate = { per_second = 20000; burst = 40000; }; };\n"
    "bridges = ( { name = \"cloud\"; type = \"mqtt\";\n"
    "  url = \"mqtt://127.0.0.1:1884\";\n"
    "  forward = ( { filter = \"bridge/#\"; qos = 1; } );\n"
    "  receive = ( { filter = \"cmd/#\"; qos = 1; } );\n"
    "  ring = { capacity = \"256KiB\"; max_capacity = \"16MiB\"; };\n"
    "  backlog = \"0\";\n"
    "  overflow = \"stall\"; } );\n";

START_TEST(loads_the_documented_configuration)
{
	const struct conf_bridge *bridge;

	ck_assert_msg(load(documented) == 0, "%s", messages);
	ck_assert_str_eq(messages, "");
	ck_assert_uint_eq(conf->listener_count, 1);
	ck_assert(conf->listeners[0].allow_anonymous);
	ck_assert(conf->http.enabled);
	ck_assert_uint_eq(conf->http.rate.burst, 40000);
	ck_assert_uint_eq(conf->http.stall_timeout_ns, 2000000000);
	bridge = conf_bridge(conf, "cloud");
	ck_assert_ptr_nonnull(bridge);
	ck_assert_str_eq(bridge->host, "127.0.0.1");
	ck_assert_uint_eq(bridge->port, 1884);
	ck_assert_str_eq(bridge->client_id, "weir-cloud");
	ck_assert_uint_eq(bridge->ring.capacity, 262144);
	ck_assert_uint_eq(bridge->forward_count, 1);
	ck_assert_str_eq(bridge->forward[0].filter, "bridge/#");
	ck_assert_uint_eq(bridge->forward[0].qos, 1);
	ck_assert_int_eq(bridge->protocol, CONF_PROTOCOL_5_0);
	ck_assert_uint_eq(bridge->keepalive_ns, 30000000000);
	ck_assert_ptr_null(conf_bridge(conf, "plant"));
}
END_TEST

START_TEST(reads_rates_of_all_kinds)
{
	const struct conf_rate_filter *limit;

	ck_assert_msg(
	    load("http = { rate_per_client = { requests_per_second = 9; };\n"
		 " rate_per_filter = ( { name = \"sensors\";\n"
		 "  filter = \"sensors/#\"; bytes_per_second = \"1MiB\";\n"
		 "  bytes_burst = \"2MiB\"; per_second = 5; } ); };\n") == 0,
	    "%s", messages);
	ck_assert_uint_eq(conf->http.rate_per_client.requests_per_second, 9);
	ck_assert_uint_eq(conf->http.rate_per_client.requests_burst, 9);
	ck_assert_uint_eq(conf->http.rate_per_client.per_second, 0);
	ck_assert_uint_eq(conf->http.rate_per_filter_count, 1);
	limit = &conf->http.rate_per_filter[0];
	ck_assert_str_eq(limit->name, "sensors");
	ck_assert_str_eq(limit->filter, "sensors/#");
	ck_assert_uint_eq(limit->rate.bytes_per_second, 1 << 20);
	ck_assert_uint_eq(limit->rate.bytes_burst, 2 << 20);
	ck_assert_uint_eq(limit->rate.burst, 5);
}
END_TEST

START_TEST(reads_how_shared_subscriptions_are_served)
{
	ck_assert_int_eq(load(""), 0);
	ck_assert_int_eq(conf->share_strategy, CONF_SHARED_ROUND_ROBIN);
	ck_assert_uint_eq(conf->share_count, 0);
	ck_assert_msg(
	    load("share_strategy = \"hash\";\n"
		 "shares = ( { name = \"g\"; strategy = \"sticky\"; },\n"
		 " { filter = \"a/#\"; strategy = \"hash_topic\"; } );\n") == 0,
	    "%s", messages);
	ck_assert_int_eq(conf->share_strategy, CONF_SHARED_HASH);
	ck_assert_uint_eq(conf->share_count, 2);
	ck_assert_str_eq(conf->shares[0].name, "g");
	ck_assert_ptr_null(conf->shares[0].filter);
	ck_assert_int_eq(conf->shares[0].strategy, CONF_SHARED_STICKY);
	ck_assert_ptr_null(conf->shares[1].name);
	ck_assert_str_eq(conf->shares[1].filter, "a/#");
	ck_assert_int_eq(conf->shares[1].strategy, CONF_SHARED_HASH_TOPIC);
	refused("share_strategy = \"local\";\n", 1, "round_robin");
	refused("shares = (\n { name = \"g\"; } );\n", 2, "strategy");
	refused("shares = (\n { name = \"g/h\"; strategy = \"hash\"; } );\n", 2,
	    "without / + and #");
	refused("shares = (\n { filter = \"$share/g/a\"; "
		"strategy = \"hash\"; } );\n",
	    2, "behind $share/NAME/");
	refused("shares = (\n { filter = \"a/#/b\"; "
		"strategy = \"hash\"; } );\n",
	    2, "has a # that is not the whole last level");
}
END_TEST

START_TEST(refuses_rates_that_make_no_sense)
{
	refused("http = {\n rate = { bytes_burst = 5; }; };\n", 2,
	    "bytes_burst without bytes_per_second");
	refused("http = {\n rate = { requests_burst = 5; }; };\n", 2,
	    "requests_burst without requests_per_second");
	refused("http = { rate_per_filter = (\n { name = \"a\"; "
		"filter = \"a\"; } ); };\n",
	    2, "limits nothing");
	refused("http = { rate_per_filter = (\n { name = \"a\"; "
		"filter = \"a/#/b\"; per_second = 1; } ); };\n",
	    2, "has a # that is not the whole last level");
	refused("http = { rate_per_filter = (\n { name = \"A b\"; "
		"filter = \"a\"; per_second = 1; } ); };\n",
	    2, "small letters");
	refused("http = { rate_per_filter = (\n"
		" { name = \"a\"; filter = \"a\"; per_second = 1; },\n"
		" { name = \"a\"; filter = \"b\"; per_second = 1; } ); };\n",
	    3, "given twice");
}
END_TEST

/* What conf_print_json() prints; the caller frees it. */
static char *
printed(const char *section)
{
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);
	bool is_known;

	ck_assert_ptr_nonnull(out);
	is_known = conf_print_json(conf, section, out);
	fclose(out);
	if (is_known)
		return text;
	ck_assert_uint_eq(length, 0);
	free(text);
	return NULL;
}

START_TEST(prints_what_is_in_force_without_secrets)
{
	char *text;

	ck_assert_int_eq(
	    load("log_level = \"debug\"; workers = 3;"
		 "accounts = ( { name = \"a\\\"b\\\\\"; password = \"hush\"; "
		 "scopes = [ \"read\" ]; publish = [ \"x/#\", \"y\" ]; } );"
		 "http = { stall_timeout = \"1500ms\"; };"),
	    0);
	text = printed("accounts");
	ck_assert_str_eq(text,
	    "[{\"name\":\"a\\\"b\\\\\",\"password\":\"***\","
	    "\"scopes\":[\"read\"],\"publish\":[\"x/#\",\"y\"],"
	    "\"subscribe\":[\"#\"]}]");
	free(text);
	text = printed("basic");
	ck_assert_ptr_nonnull(strstr(text, "\"log_level\":\"debug\""));
	ck_assert_ptr_nonnull(strstr(text, "\"workers\":3"));
	ck_assert_ptr_nonnull(strstr(text, "\"max_queued_bytes\":\"8MiB\""));
	ck_assert_ptr_null(strstr(text, "\"http\""));
	free(text);
	text = printed("http");
	ck_assert_ptr_nonnull(strstr(text, "\"stall_timeout\":\"1500ms\""));
	free(text);
	text = printed(NULL);
	ck_assert_ptr_nonnull(strstr(text, "\"bridges\":[]"));
	ck_assert_ptr_null(strstr(text, "hush"));
	free(text);
	ck_assert_ptr_null(printed("no"));
	ck_assert_ptr_null(printed("workers"));
}
END_TEST

/* A key that is added must not be shown because nobody thought of it. */
START_TEST(every_text_that_sounds_secret_is_one)
{
	static const char *const words[] = { "password", "secret", "psk",
		"token" };

	for (size_t i = 0; i < conf_key_count; i++)
		for (size_t k = 0; k < 4; k++)
			if (conf_keys[i].type == CONF_TYPE_STRING &&
			    strstr(conf_keys[i].name, words[k]) != NULL)
				ck_assert_msg(conf_key_is_secret(&conf_keys[i]),
				    "%s", conf_keys[i].name);
	ck_assert(!conf_key_is_secret(
	    conf_key_find(CONF_SECTION_BRIDGE, "password_file")));
	ck_assert(!conf_key_is_secret(
	    conf_key_find(CONF_SECTION_BRIDGE, "username")));
}
END_TEST

START_TEST(fills_in_defaults_for_an_empty_file)
{
	ck_assert_int_eq(load(""), 0);
	ck_assert(!conf->http.enabled);
	ck_assert_str_eq(conf->run_dir, "/run/weir");
	ck_assert_uint_ge(conf->workers, 1);
	ck_assert_uint_eq(conf->max_connections, 10000);
	ck_assert_uint_eq(conf->max_packet_size, 1 << 20);
	ck_assert_int_eq(conf->log_level, LOG_LEVEL_INFO);
	ck_assert_ptr_null(conf->accounts_file);
}
END_TEST

START_TEST(derives_the_packet_size_from_the_smallest_ring)
{
	ck_assert_int_eq(load(documented), 0);
	ck_assert_uint_eq(conf->max_packet_size, 1048576);
	ck_assert_int_eq(load("max_packet_size = \"8KiB\"; http = { };"), 0);
	ck_assert_uint_eq(conf->max_packet_size, 8192);
	refused("\nmax_packet_size = \"4MiB\"; http = { };", 2, "http");
}
END_TEST

START_TEST(opens_loopback_alone_to_anonymous_clients)
{
	ck_assert_int_eq(load("listeners = ( { bind = \"0.0.0.0:0\"; },\n"
			      "{ bind = \"[::1]:0\"; },\n"
			      "{ bind = \"0.0.0.0:0\";\n"
			      "  allow_anonymous = true; } );"),
	    0);
	ck_assert(!conf->listeners[0].allow_anonymous);
	ck_assert(conf->listeners[1].allow_anonymous);
	ck_assert(conf->listeners[2].allow_anonymous);
	ck_assert_int_eq(load("allow_anonymous = false; "
			      "listeners = ( { bind = \"[::1]:0\"; } );"),
	    0);
	ck_assert(!conf->listeners[0].allow_anonymous);
}
END_TEST

START_TEST(checks_what_https_needs)
{
	ck_assert_int_eq(
	    load("http = { tls = { cert = \"a\"; key = \"/b\"; "
		 "ca_file = \"c\"; client_cert = \"optional\"; }; };"),
	    0);
	ck_assert(conf->http.tls.enabled);
	ck_assert_ptr_nonnull(strstr(conf->http.tls.cert, "/a"));
	ck_assert_str_eq(conf->http.tls.key, "/b");
	ck_assert(conf->http.tls.client_cert_optional);
	ck_assert_int_eq(conf->http.tls.min_version, CONF_TLS_1_2);
	ck_assert_int_eq(load("http = { };"), 0);
	ck_assert(!conf->http.tls.enabled);
	refused("http = { tls = {\ncert = \"a\"; }; };", 1,
	    "tls needs the key key");
	refused("http = { tls = { cert = \"a\"; key = \"b\";\n"
		"client_cert = \"optional\"; }; };",
	    2, "client_cert without ca_file");
	refused("http = { tls = { cert = \"a\"; key = \"b\";\n"
		"min_version = \"1.0\"; }; };",
	    2, "allowed: 1.2, 1.3");
}
END_TEST

START_TEST(reads_where_a_remote_is)
{
	const struct conf_bridge *bridge;

	ck_assert_msg(load("bridges = ( { name = \"a\";\n"
			   "urls = [ \"mqtts://h\", \"mqtt://[::1]:9/\" ];\n"
			   "urls_order = \"round_robin\";\n"
			   "tls = { cert = \"c\"; key = \"k\"; }; } );") == 0,
	    "%s", messages);
	bridge = &conf->bridges[0];
	ck_assert_uint_eq(bridge->remote_count, 2);
	ck_assert_str_eq(bridge->url, "mqtts://h");
	ck_assert(bridge->remotes[0].is_tls);
	ck_assert_uint_eq(bridge->remotes[0].port, 8883);
	ck_assert(!bridge->remotes[1].is_tls);
	ck_assert_str_eq(bridge->remotes[1].host, "::1");
	ck_assert_uint_eq(bridge->remotes[1].port, 9);
	ck_assert(bridge->urls_order);
	ck_assert_uint_eq(bridge->primary_retry_ns, 60000000000);
	ck_assert(bridge->tls.enabled);
	ck_assert_int_eq(load("bridges = ( { name = \"a\"; url = "
			      "\"ws://h/x?y\"; }, { name = \"b\"; url = "
			      "\"wss://[::1]:9\"; } );"),
	    0);
	ck_assert_str_eq(conf->bridges[0].remotes[0].path, "/x?y");
	ck_assert_uint_eq(conf->bridges[0].port, 80);
	ck_assert(conf->bridges[1].remotes[0].is_tls);
	ck_assert_str_eq(conf->bridges[1].remotes[0].path, "/mqtt");
	ck_assert_str_eq(conf->bridges[1].host, "::1");
}
END_TEST

START_TEST(refuses_remotes_that_make_no_sense)
{
#define ONE(more) "bridges = ( { name = \"a\";\n" more " } );"
	refused(ONE(""), 1, "needs the key url, or urls");
	refused(ONE("urls = [ ];"), 1, "needs the key url, or urls");
	refused(ONE("url = \"mqtt://h\"; urls = [ \"mqtt://i\" ];"), 2,
	    "both given");
	refused(ONE("urls = [ \"mqtt://h\", \"http://i\" ];"), 2,
	    "urls is \"http://i\"; it must be mqtt://");
	refused(ONE("url = \"mqtt://h/path\";"), 2, "it must be mqtt://");
	refused(ONE("url = \"mqtts://h:0\";"), 2, "it must be mqtt://");
	refused(ONE("url = \"ws://h/a b\";"), 2, "it must be mqtt://");
	refused(ONE("url = \"mqtt://u:hush@h\";"), 2, "keys of their own");
	ck_assert_ptr_null(strstr(messages, "hush"));
	refused(ONE("url = \"mqtt://h\"; tls = { alpn = \"mqtt\"; };"), 2,
	    "nothing would be encrypted");
	refused(ONE("url = \"mqtts://h\"; tls = { cert = \"c\"; };"), 2,
	    "cert and key belong together");
	refused(ONE("url = \"mqtts://h\"; tls = { psk_file = \"c\"; };"), 2,
	    "psk_identity and psk_file belong together");
	refused(ONE("url = \"mqtts://h\"; tls = { insecure = true; "
		    "ca_file = \"c\"; };"),
	    2, "keep one");
	refused(ONE("url = \"mqtt://h\"; bind_address = \"eth0\";"), 2,
	    "IPv4 or IPv6");
	refused(ONE("url = \"mqtt://h\"; tcp_keepalive = \"1500ms\";"), 2,
	    "whole seconds");
#undef ONE
}
END_TEST

START_TEST(suggests_the_nearest_key)
{
	refused("\nmax_conections = 5;", 2, "did you mean max_connections?");
	refused("stall_timeout = \"2s\";", 1, "it belongs in http");
	refused("frobnicate = 1;", 1, "unknown key frobnicate");
}
END_TEST

START_TEST(names_the_type_that_is_wanted)
{
	refused("workers = \"four\";", 1, "whole number");
	refused("connect_timeout = 10;", 1, "a duration");
	refused("connect_timeout = \"10 s\";", 1, "a duration");
	refused("max_queued_bytes = \"8MB\";", 1, "a size");
	refused("allow_anonymous = 1;", 1, "true or false");
	refused("bridges = { };", 1, "a list of groups");
	refused("http = ( );", 1, "a group");
	refused("listeners = ( 5 );", 1, "no group");
	refused("run_dir = 5;", 1, "a text");
	refused("max_queued_bytes = 1.5;", 1, "a size");
}
END_TEST

START_TEST(names_the_range)
{
	refused("workers = 65;", 1, "allowed: 0 to 64");
	refused("workers = -1;", 1, "negative");
	refused("max_keepalive = 65536;", 1, "allowed: 1 to 65535");
	refused("worker_window = 1;", 1, "allowed: 4KiB to 1GiB");
	refused("workers = 99999999999;", 1, "allowed: 0 to 64");
}
END_TEST

START_TEST(says_what_is_not_in_this_version)
{
	refused("durability = \"paper\";", 1, "allowed: disk, process, none");
}
END_TEST

START_TEST(sizes_the_journal_by_segments_that_hold_packets)
{
	ck_assert_int_eq(load("durability = \"disk\";"), 0);
	ck_assert(conf_has_journal(conf));
	ck_assert_uint_eq(conf->journal.max_bytes, 8192 * MIB);
	ck_assert_uint_eq(conf->journal.segment_bytes, 16 * MIB);
	ck_assert_int_eq(load("durability = \"disk\"; journal = { "
			      "max_size = \"64MiB\"; segment_size = "
			      "\"16MiB\"; };"),
	    0);
	ck_assert_uint_eq(conf->journal.max_bytes, 64 * MIB);

	refused("durability = \"disk\";\njournal = {\n"
		"max_size = \"67108863\"; };",
	    3, "less than four segments of 16MiB");
	refused("durability = \"disk\";\njournal = {\n"
		"segment_size = \"4GiB\"; };",
	    3, "less than four segments of 4GiB");
	refused("journal = { segment_size = \"32KiB\"; };", 1,
	    "allowed: 64KiB to 4GiB");
	refused("journal = { size = 5; };", 1, "unknown key size in journal");
}
END_TEST

START_TEST(wants_four_of_the_largest_packets_in_a_segment)
{
	/* Beside them, a page for what the segment says of itself. */
	const uint64_t least = 4 * (MIB + 1024) + 4096;
	char text[256];

	snprintf(text, sizeof(text),
	    "durability = \"disk\"; max_packet_size = \"1MiB\";\n"
	    "journal = { segment_size = %llu; };",
	    (unsigned long long)least);
	ck_assert_int_eq(load(text), 0);
	snprintf(text, sizeof(text),
	    "durability = \"disk\"; max_packet_size = \"1MiB\";\n"
	    "journal = { segment_size = %llu; };",
	    (unsigned long long)(least - 4096));
	refused(text, 2, "the largest packet four times");
	refused("durability = \"disk\"; max_packet_size = 1025;\n"
		"journal = { segment_size = 1000000; };",
	    2, "whole pages");

	/* What nobody wrote makes way. */
	ck_assert_int_eq(
	    load("durability = \"disk\"; max_packet_size = 8000001;"), 0);
	ck_assert_uint_ge(conf->journal.segment_bytes, 4 * UINT64_C(8001025));
	ck_assert_uint_eq(conf->journal.segment_bytes % 4096, 0);
}
END_TEST

#define ONE_BRIDGE "bridges = ( { name = \"a\"; url = \"mqtt://b\";\n"

START_TEST(has_a_backlog_where_there_is_a_journal)
{
	ck_assert_int_eq(load("durability = \"disk\";" ONE_BRIDGE "} );"), 0);
	ck_assert_uint_eq(conf->bridges[0].backlog, 256 * MIB);
	ck_assert_int_eq(
	    load("durability = \"disk\";" ONE_BRIDGE "backlog = \"0\"; } );"),
	    0);
	ck_assert_uint_eq(conf->bridges[0].backlog, 0);
	ck_assert_int_eq(load("durability = \"disk\";" ONE_BRIDGE
			      "backlog = \"1GiB\"; } );"),
	    0);
	ck_assert_uint_eq(conf->bridges[0].backlog, 1024 * MIB);

	ck_assert_int_eq(load("durability = \"none\";" ONE_BRIDGE "} );"), 0);
	ck_assert(!conf_has_journal(conf));
	ck_assert_uint_eq(conf->bridges[0].backlog, 0);
	ck_assert_int_eq(
	    load("durability = \"none\";" ONE_BRIDGE "backlog = \"0\"; } );"),
	    0);
	refused("durability = \"none\";" ONE_BRIDGE "backlog = \"1MiB\"; } );",
	    2, "durability = \"disk\"");
}
END_TEST

START_TEST(counts_the_windows_of_the_journal)
{
	struct conf_memory m;
	uint64_t without;

	ck_assert_int_eq(load("workers = 3; durability = \"none\";"), 0);
	without = conf_memory_for(conf, 1, 1, &m);
	ck_assert_uint_eq(m.journal, 0);
	ck_assert_int_eq(load("workers = 3; durability = \"disk\";"), 0);
	ck_assert_uint_eq(conf_memory_for(conf, 1, 1, &m), without + m.journal);
	ck_assert_uint_eq(m.journal, 2 * 4 * conf_commit_window(conf));

	/* Read ahead for a bridge, whatever a worker may have under way. */
	ck_assert_int_eq(
	    load("workers = 3; worker_window = \"4KiB\";\n"
		 "bridges = ( { name = \"a\"; url = \"mqtt://b\"; } );"),
	    0);
	conf_memory_for(conf, 1, 1, &m);
	ck_assert_uint_eq(m.journal,
	    2 * 4 * conf_commit_window(conf) + CONF_FEED_WINDOW +
		conf->max_packet_size);

	/* Never smaller than what one packet needs. */
	ck_assert_int_eq(
	    load("durability = \"disk\"; max_packet_size = \"8MiB\";"), 0);
	ck_assert_uint_gt(conf_commit_window(conf), conf->max_packet_size);
}
END_TEST

#define ACCOUNT(more)                                                          \
	"accounts = ( { name = \"a\"; password = \"b\";\n" more " } );"
#define HTTP_KEY(more) "http = { keys = ( { name = \"ci\";\n" more " } ); };"

START_TEST(gives_an_account_all_scopes_and_topics_unless_it_says_less)
{
	const struct conf_account *account;

	ck_assert_int_eq(load(ACCOUNT("")), 0);
	account = &conf->accounts[0];
	ck_assert_uint_eq(account->scopes, CONF_SCOPES_ALL);
	ck_assert_uint_eq(account->publish.count, 1);
	ck_assert_str_eq(account->publish.list[0], "#");

	ck_assert_int_eq(load(ACCOUNT("scopes = [ \"read\", \"publish\" ];"
				      "publish = ( \"a/#\", \"b\" );")),
	    0);
	account = &conf->accounts[0];
	ck_assert_uint_eq(
	    account->scopes, CONF_SCOPE_READ | CONF_SCOPE_PUBLISH);
	ck_assert_uint_eq(account->publish.count, 2);
	ck_assert_str_eq(account->publish.list[1], "b");

	/* One text, and none at all. */
	ck_assert_int_eq(
	    load(ACCOUNT("scopes = \"read, manage\"; publish = \"c\";")), 0);
	account = &conf->accounts[0];
	ck_assert_uint_eq(account->scopes, CONF_SCOPE_READ | CONF_SCOPE_MANAGE);
	ck_assert_uint_eq(account->publish.count, 1);
	ck_assert_int_eq(load(ACCOUNT("scopes = [ ]; publish = ( );")), 0);
	ck_assert_uint_eq(conf->accounts[0].scopes, 0);
	ck_assert_uint_eq(conf->accounts[0].publish.count, 0);
}
END_TEST

START_TEST(checks_scopes_and_filters)
{
	refused(ACCOUNT("scopes = [ \"write\" ];"), 2,
	    "scopes has \"write\"; allowed: publish, read, manage");
	refused(ACCOUNT("scopes = true;"), 2, "must be a list of texts");
	refused(ACCOUNT("publish = ( 5 );"), 2, "must be a text");
	refused(ACCOUNT("publish = [ \"a\", \"b#\" ];"), 2, "\"b#\" has a #");
	refused(ACCOUNT("publish = [ \"\" ];"), 2, "allowed: 1 to 65535");
	refused(ACCOUNT("publish = \"$share/g/a\";"), 2, "shared");
}
END_TEST

START_TEST(checks_what_a_key_says)
{
	ck_assert_int_eq(load(HTTP_KEY("secret = \"0123456789abcdef\";")), 0);
	ck_assert_uint_eq(conf->http.keys[0].scopes, CONF_SCOPE_PUBLISH);
	ck_assert_str_eq(conf->http.keys[0].publish.list[0], "#");
	refused(HTTP_KEY(""), 1, "needs the key secret_file");
	refused(HTTP_KEY("secret = \"0123456789abcde\";"), 2,
	    "allowed: 16 to 1024");
	refused(HTTP_KEY("secret = \"0123456789abcdef\";"
			 "secret_file = \"x\";"),
	    2, "keep one");
	refused(HTTP_KEY("secret_file = \"x\"; scopes = \"all\";"), 2,
	    "allowed: publish, read, manage");
	refused("http = { keys = ( { name = \"a:b\";\nsecret_file = \"x\"; } "
		"); };",
	    1, "colon");
	refused("http = { keys = ( { name = \"a\"; secret_file = \"x\"; },\n"
		"{ name = \"a\"; secret_file = \"y\"; } ); };",
	    2, "given twice, first in line 1");
	refused("access = ( { account = \"\"; },\n{ account = \"\"; } );", 2,
	    "given twice, first in line 1");
	refused(
	    "access = ( { account = \"a\";\nsubscribe = [ \"a/#/b\" ]; } );", 2,
	    "subscribe: \"a/#/b\"");
	refused("access = ( { publish = [ \"a\" ]; } );", 1, "account");
	refused(ACCOUNT("") "\nhttp = { keys = ( { name = \"a\"; "
			    "secret_file = \"x\"; } ); };",
	    3, "an account's name, in line 1");
}
END_TEST

#define JWT "{ algorithm = \"ES256\"; key_file = \"k.pem\"; }"

START_TEST(takes_one_rule_for_tokens_or_several)
{
	const struct conf_jwt *jwt;

	ck_assert_int_eq(load("http = { jwt = " JWT "; };"), 0);
	ck_assert_uint_eq(conf->http.jwt_count, 1);
	jwt = &conf->http.jwt[0];
	ck_assert_int_eq(jwt->algorithm, CONF_JWT_ES256);
	ck_assert_str_eq(jwt->account_claim, "sub");
	ck_assert_str_eq(jwt->scope_claim, "scope");
	ck_assert_ptr_null(jwt->audience);
	ck_assert_uint_eq(jwt->leeway_ns, 0);
	ck_assert_int_eq(load("http = { jwt = ( " JWT ", " JWT " ); };"), 0);
	ck_assert_uint_eq(conf->http.jwt_count, 2);

	refused("http = { jwt = 5; };", 1, "a list of groups");
	refused("http = {\njwt = { key_file = \"k\"; }; };", 2,
	    "needs the key algorithm");
	refused(
	    "http = { jwt = { algorithm = \"none\"; key_file = \"k\"; }; };", 1,
	    "allowed: HS256, RS256, ES256");
	refused("http = { jwt = { algorithm = \"HS256\"; key_file = \"k\";\n"
		"leeway = \"1h\"; }; };",
	    2, "out of range");
}
END_TEST

START_TEST(limits_wrong_credentials_unless_told_not_to)
{
	ck_assert_int_eq(load("http = { };"), 0);
	ck_assert_uint_eq(conf->http.failed_logins.per_second, 1);
	ck_assert_uint_eq(conf->http.failed_logins.burst, 30);
	ck_assert_int_eq(
	    load("http = { failed_logins = { per_second = 0; }; };"), 0);
	ck_assert_uint_eq(conf->http.failed_logins.per_second, 0);
	refused("http = { failed_logins = {\nburst = 0; }; };", 2,
	    "allowed: 1 to 1000000");
}
END_TEST

START_TEST(finds_two_bridges_of_one_name)
{
	refused("bridges = ( { name = \"a\"; url = \"mqtt://b\"; },\n"
		"\n"
		"{ name = \"a\"; url = \"mqtt://c\"; } );",
	    3, "first in line 1");
}
END_TEST

START_TEST(checks_what_a_bridge_says)
{
	refused("bridges = ( { name = \"A\"; url = \"mqtt://b\"; } );", 1,
	    "small letters");
	refused("bridges = ( { url = \"mqtt://b\"; } );", 1, "the key name");
	refused("bridges = ( { name = \"a\"; url = \"b:1883\"; } );", 1,
	    "mqtt://host");
	refused("bridges = ( { name = \"a\"; url = \"mqtt://b:0\"; } );", 1,
	    "mqtt://host");
	refused("bridges = ( { name = \"a\"; url = \"mqtt://b\";\n"
		"keepalive = \"1500ms\"; } );",
	    2, "whole seconds");
	refused("bridges = ( { name = \"a\"; url = \"mqtt://b\"; ring = {\n"
		"capacity = \"100KiB\"; }; } );",
	    2, "power of two");
	refused("bridges = ( { name = \"a\"; url = \"mqtt://b\"; ring = {\n"
		"capacity = \"1MiB\";\nmax_capacity = \"512KiB\"; }; } );",
	    2, "above max_capacity");
	ck_assert_int_eq(
	    load("bridges = ( { name = \"a\"; url = \"mqtt://[::1]/\"; } );"),
	    0);
	ck_assert_str_eq(conf->bridges[0].host, "::1");
	ck_assert_uint_eq(conf->bridges[0].port, 1883);
}
END_TEST

static const char *
with_filter(const char *filter)
{
	static char text[256];

	snprintf(text, sizeof(text),
	    "bridges = ( { name = \"a\"; url = \"mqtt://b\"; "
	    "forward = ( { filter = \"%s\"; } ); } );",
	    filter);
	return text;
}

START_TEST(wants_a_session_for_qos_2)
{
	refused("bridges = ( { name = \"a\"; url = \"mqtt://h\";\n"
		"session_expiry = \"0s\";\n"
		"forward = ( { filter = \"x\"; qos = 2; } ); } );",
	    2, "needs a session at the remote");
	refused("bridges = ( { name = \"a\"; url = \"mqtt://h\";\n"
		"session_expiry = \"0s\";\n"
		"receive = ( { filter = \"x\"; qos = 2; } ); } );",
	    2, "needs a session at the remote");
	ck_assert_int_eq(
	    load("bridges = ( { name = \"a\"; url = \"mqtt://h\"; "
		 "session_expiry = \"0s\"; forward = ( { filter = \"x\"; "
		 "qos = 1; } ); } );"),
	    0);
}
END_TEST

static unsigned changed_count;
static char changed_key[32];

static void
note_change(void *arg, const char *key, enum conf_reload reload)
{
	(void)arg;
	(void)reload;
	changed_count++;
	snprintf(changed_key, sizeof(changed_key), "%s", key);
}

START_TEST(finds_what_a_reload_changes_of_a_bridge)
{
#define BEFORE "url = \"mqtt://b\"; forward = ( { filter = \"x\"; } );"
	static const struct {
		const char *text, *key;
		enum conf_reload reload;
	} cases[] = {
		{ BEFORE, "", CONF_RELOAD },
		{ BEFORE "rate = { per_second = 5; };", "rate", CONF_RELOAD },
		{ "url = \"mqtt://b\"; forward = ( { filter = \"y\"; } );",
		    "forward", CONF_RELOAD },
		{ "url = \"mqtt://c\"; forward = ( { filter = \"x\"; } );",
		    "url", CONF_RECONNECT },
		{ BEFORE "username = \"u\";", "username", CONF_RECONNECT },
		{ BEFORE "will = { topic = \"w\"; };", "will", CONF_RECONNECT },
		{ BEFORE "user_properties = ( { name = \"w\"; } );",
		    "user_properties", CONF_RECONNECT },
		{ BEFORE "ring = { capacity = \"64KiB\"; };", "ring",
		    CONF_RESTART },
		{ BEFORE "max_inflight = 7;", "max_inflight", CONF_RESTART },
	};
	struct conf_bridge live;
	struct conf *first;
	char text[300];

	snprintf(
	    text, sizeof(text), "bridges = ( { name = \"a\"; %s } );", BEFORE);
	ck_assert_msg(load(text) == 0, "%s", messages);
	first = conf;
	conf = NULL;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(text, sizeof(text),
		    "bridges = ( { name = \"a\"; %s } );", cases[i].text);
		ck_assert_msg(load(text) == 0, "%s", messages);
		changed_count = 0;
		changed_key[0] = '\0';
		live = first->bridges[0];
		ck_assert_int_eq(conf_bridge_compare(&live, &conf->bridges[0],
				     note_change, NULL),
		    cases[i].reload);
		ck_assert_uint_eq(changed_count, i != 0);
		ck_assert_str_eq(changed_key, cases[i].key);
		conf_bridge_take(&live, &conf->bridges[0]);
		/* What takes a restart is all that is left. */
		ck_assert_int_eq(conf_bridge_compare(&live, &conf->bridges[0],
				     note_change, NULL),
		    cases[i].reload == CONF_RESTART ? CONF_RESTART
						    : CONF_RELOAD);
		ck_assert_uint_eq(live.max_inflight, 20);
		ck_assert_uint_eq(live.ring.capacity, 262144);
	}
	conf_free(first);
}
END_TEST

START_TEST(checks_what_a_bridge_says_when_it_connects)
{
	refused(ONE_BRIDGE "will = { topic = \"a/#\"; }; } );", 2,
	    "without + and #");
	refused(ONE_BRIDGE "will = { qos = 1; }; } );", 2, "the key topic");
	refused(ONE_BRIDGE "will = { topic = \"a\"; delay = \"500ms\"; }; } );",
	    2, "whole seconds");
	refused(ONE_BRIDGE "protocol = \"3.1.1\";\n will = { topic = \"a\";\n"
			   " delay = \"5s\"; }; } );",
	    4, "cannot say that");
	refused(ONE_BRIDGE "notifications = \"both\";\n"
			   " will = { topic = \"a\"; }; } );",
	    3, "only will");
	refused(ONE_BRIDGE "notification_topic = \"a/+\"; } );", 2,
	    "without + and #");
	refused(ONE_BRIDGE "forward = ( { filter = \"x\"; qos = 2; } );\n"
			   " clean_start = true; } );",
	    3, "needs a session");
	refused(ONE_BRIDGE "both = ( { filter = \"x\"; qos = 2; } );\n"
			   " clean_start = true; } );",
	    3, "needs a session");
	refused(ONE_BRIDGE "max_packet_size = 100; } );", 2, "too small");
}
END_TEST

#define RULES(text)                                                            \
	"bridges = ( { name = \"a\"; url = \"mqtt://b\";\n" text " } );"

START_TEST(puts_rules_for_both_directions_behind_the_others)
{
	const struct conf_bridge *bridge;

	ck_assert_msg(
	    load(RULES("both = ( { filter = \"x\"; qos = 2;"
		       " remote_prefix = \"r/\"; retain = \"set\"; } );"
		       "forward = ( { filter = \"f\"; } );")) == 0,
	    "%s", messages);
	bridge = &conf->bridges[0];
	ck_assert_uint_eq(bridge->forward_count, 2);
	ck_assert_uint_eq(bridge->receive_count, 1);
	ck_assert_str_eq(bridge->forward[0].filter, "f");
	ck_assert_str_eq(bridge->forward[1].filter, "x");
	ck_assert_str_eq(bridge->receive[0].remote_prefix, "r/");
	ck_assert_int_eq(bridge->receive[0].retain, CONF_RETAIN_SET);
	ck_assert_uint_eq(bridge->receive[0].qos, 2);
	ck_assert(bridge->receive[0].no_local);
}
END_TEST

START_TEST(refuses_keys_that_a_rule_of_that_direction_lacks)
{
	refused(
	    RULES("forward = ( { filter = \"x\";\n local_topic = \"y\"; } );"),
	    3, "this is for receive rules");
	refused(RULES("forward = ( { filter = \"x\";\n no_local = true; } );"),
	    3, "this is for receive rules");
	refused(
	    RULES("receive = ( { filter = \"x\";\n remote_topic = \"y\"; } );"),
	    3, "a receive rule has local_topic");
	refused(
	    RULES("both = ( { filter = \"x\";\n remote_topic = \"y\"; } );"), 3,
	    "cannot be turned round");
}
END_TEST

START_TEST(checks_templates_against_their_filter)
{
	ck_assert_msg(
	    load(RULES("forward = ( { filter = \"+/a/#\";"
		       " local_prefix = \"p/\";"
		       " remote_topic = \"x/{1}/{rest}\"; } );")) == 0,
	    "%s", messages);
	refused(RULES("forward = ( { filter = \"x/+\";\n"
		      " remote_topic = \"{2}\"; } );"),
	    3, "names a + that filter does not have");
	refused(RULES("receive = ( { filter = \"x/+\";\n"
		      " local_topic = \"{rest}\"; } );"),
	    3, "filter has no #");
	refused(RULES("forward = ( { filter = \"x\"; remote_topic = \"y\";\n"
		      " remote_prefix = \"z/\"; } );"),
	    3, "write the prefix into remote_topic");
	refused(RULES("forward = ( { filter = \"+/x\";\n"
		      " local_prefix = \"z\"; } );"),
	    3, "end it with a /");
}
END_TEST

/* [MQTT-4.7.1-1] [MQTT-4.7.1-2] */
START_TEST(checks_topic_filters)
{
	static const char *const good[] = { "#", "+", "a/+/b", "/", "a//#",
		"$SYS/#", "+/+" };
	static const char *const bad[] = { "a#", "#/a", "a/#/b", "a+", "+a/b",
		"a/b+/c", "##", "$share/g/a", "\\xff" };

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		ck_assert_msg(load(with_filter(good[i])) == 0, "%s", messages);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		refused(with_filter(bad[i]), 1, "filter");
}
END_TEST

START_TEST(reports_all_mistakes_at_once)
{
	int lines = 0;

	ck_assert_int_eq(
	    load("workers = 65;\nqos0 = \"x\";\nhtp = { };\n"), -EINVAL);
	for (const char *at = messages; *at != '\0'; at++)
		lines += *at == '\n';
	ck_assert_int_eq(lines, 3);
}
END_TEST

START_TEST(places_mistakes_inside_includes)
{
	char inner[128], wanted[160];

	snprintf(inner, sizeof(inner), "%s/more.conf", folder);
	write_file(inner, "\nworkers = 65;\n", 0600);
	ck_assert_int_eq(load("\n\n\n@include \"more.conf\"\n"), -EINVAL);
	snprintf(wanted, sizeof(wanted), "more.conf:2: workers is 65");
	ck_assert_msg(strstr(messages, wanted) != NULL, "%s", messages);
}
END_TEST

START_TEST(reports_syntax_errors_and_missing_files)
{
	FILE *errors;
	size_t len;

	refused("a = 1;\nb = = 2;\n", 2, "syntax error");
	free(messages);
	errors = open_memstream(&messages, &len);
	ck_assert_int_eq(
	    conf_load("/nowhere/weir.conf", &conf, errors), -ENOENT);
	ck_assert_int_eq(conf_load("/tmp", &conf, errors), -EISDIR);
	fclose(errors);
	ck_assert_ptr_nonnull(
	    strstr(messages, "/nowhere/weir.conf: cannot open: No such"));
	ck_assert_ptr_nonnull(strstr(messages, "/tmp: cannot open: Is a dir"));
}
END_TEST

START_TEST(takes_file_names_from_the_folder_of_the_file)
{
	char wanted[128];

	ck_assert_int_eq(load("accounts_file = \"accounts\";"), 0);
	snprintf(wanted, sizeof(wanted), "%s/accounts", folder);
	ck_assert_str_eq(conf->accounts_file, wanted);
}
END_TEST

START_TEST(reads_accounts_that_only_their_owner_may_read)
{
	struct conf_account *accounts = NULL;
	size_t count = 0, len;
	FILE *errors;

	free(messages);
	errors = open_memstream(&messages, &len);
	write_file(path, "# who\n\nann:$argon2id$x\nbob:$argon2id$y\n", 0600);
	ck_assert_int_eq(
	    conf_read_accounts(path, &accounts, &count, errors), 0);
	ck_assert_uint_eq(count, 2);
	ck_assert_str_eq(accounts[1].name, "bob");
	ck_assert_str_eq(accounts[1].hash, "$argon2id$y");
	ck_assert_uint_eq(accounts[1].scopes, CONF_SCOPES_ALL);
	ck_assert_str_eq(accounts[1].publish.list[0], "#");
	conf_free_accounts(accounts, count);

	write_file(path,
	    "ann:$argon2id$x:read,publish\nbob:$argon2id$y:\n"
	    "pump:*\nfan:*:read\n",
	    0600);
	ck_assert_int_eq(
	    conf_read_accounts(path, &accounts, &count, errors), 0);
	ck_assert_uint_eq(count, 4);
	ck_assert_str_eq(accounts[2].hash, CONF_NO_PASSWORD);
	ck_assert_str_eq(accounts[3].hash, CONF_NO_PASSWORD);
	ck_assert_uint_eq(accounts[3].scopes, CONF_SCOPE_READ);
	ck_assert_str_eq(accounts[0].hash, "$argon2id$x");
	ck_assert_uint_eq(
	    accounts[0].scopes, CONF_SCOPE_READ | CONF_SCOPE_PUBLISH);
	ck_assert_uint_eq(accounts[1].scopes, 0);
	conf_free_accounts(accounts, count);

	chmod(path, 0640);
	ck_assert_int_eq(
	    conf_read_accounts(path, &accounts, &count, errors), -EPERM);
	write_file(path,
	    "ann:secret\nann\nbob:$argon2id$x:write\nfan:*secret\n", 0600);
	ck_assert_int_eq(
	    conf_read_accounts(path, &accounts, &count, errors), -EINVAL);
	fclose(errors);
	ck_assert_ptr_nonnull(strstr(messages, "chmod 0600"));
	ck_assert_ptr_nonnull(strstr(messages, ":1: the hash"));
	ck_assert_ptr_nonnull(strstr(messages, ":2: not a line"));
	ck_assert_ptr_nonnull(strstr(messages, ":3: scopes are words"));
	ck_assert_ptr_nonnull(strstr(messages, ":4: the hash"));
	ck_assert_ptr_null(strstr(messages, "secret"));
}
END_TEST

START_TEST(reads_the_first_line_of_a_secret)
{
	char *secret = NULL;

	write_file(path, "s3cret\r\nmore\n", 0640);
	ck_assert_int_eq(conf_read_secret(path, &secret), 0);
	ck_assert_str_eq(secret, "s3cret");
	free(secret);
	write_file(path, "s3cret", 0644);
	ck_assert_int_eq(conf_read_secret(path, &secret), -EPERM);
	write_file(path, "\n", 0600);
	ck_assert_int_eq(conf_read_secret(path, &secret), -ENODATA);
}
END_TEST

START_TEST(bounds_memory_by_the_sum_of_its_terms)
{
	struct conf_memory m, none;

	ck_assert_int_eq(load(documented), 0);
	conf_memory_for(conf, 10, 5, &m);
	ck_assert_uint_eq(m.connections, 10 * m.per_connection);
	ck_assert_uint_eq(m.sessions, 5 * m.per_session);
	/*
	 * http has two lanes in, the bridge, whose set leaves itself out, one;
	 * each has one out.  A lane holds all its classes when it has grown.
	 */
	ck_assert_uint_eq(conf_ring_bytes(&conf->http.ring), 31 * MIB);
	ck_assert_uint_eq(m.rings, 3 * 31 * MIB + 2 * (32 * MIB - 256 * 1024));
	ck_assert_uint_eq(m.first_rings, m.rings);
	ck_assert_uint_eq(m.total,
	    m.rings + m.windows + m.journal + m.connections + m.sessions +
		m.retained + m.http + m.bridges + m.programs);
	ck_assert_uint_lt(conf_memory_for(conf, 0, 0, &none), m.total);
	ck_assert_uint_ge(conf_memory_bound(conf, NULL), m.total);
	refused("\nmemory_limit = \"1MiB\";", 2, "memory_limit is 1MiB");
	/* The limit is about rings that have grown. */
	refused("\nmemory_limit = \"64MiB\";\nhttp = { };", 2,
	    "memory_limit is 64MiB");
	ck_assert_int_eq(load("memory_limit = \"64MiB\";\n"
			      "http = { ring = { max_capacity = \"1MiB\"; }; "
			      "};"),
	    0);
}
END_TEST

START_TEST(says_which_keys_there_are)
{
	ck_assert(conf_has_key("run_dir"));
	ck_assert(conf_has_key("bridges"));
	ck_assert(conf_has_key("bridges.forward.qos"));
	ck_assert(conf_has_key("http.rate"));
	ck_assert(!conf_has_key(""));
	ck_assert(!conf_has_key("bridges."));
	ck_assert(!conf_has_key("bridges.forward.nothing"));
	ck_assert(!conf_has_key("run_dir.nothing"));
	ck_assert(!conf_has_key("forward"));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("conf");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, make_folder, remove_folder);
	tcase_add_test(tc, says_which_keys_there_are);
	tcase_add_test(tc, loads_the_documented_configuration);
	tcase_add_test(tc, reads_rates_of_all_kinds);
	tcase_add_test(tc, reads_how_shared_subscriptions_are_served);
	tcase_add_test(tc, refuses_rates_that_make_no_sense);
	tcase_add_test(tc, prints_what_is_in_force_without_secrets);
	tcase_add_test(tc, every_text_that_sounds_secret_is_one);
	tcase_add_test(tc, fills_in_defaults_for_an_empty_file);
	tcase_add_test(tc, derives_the_packet_size_from_the_smallest_ring);
	tcase_add_test(tc, opens_loopback_alone_to_anonymous_clients);
	tcase_add_test(tc, checks_what_https_needs);
	tcase_add_test(tc, reads_where_a_remote_is);
	tcase_add_test(tc, refuses_remotes_that_make_no_sense);
	tcase_add_test(tc, suggests_the_nearest_key);
	tcase_add_test(tc, names_the_type_that_is_wanted);
	tcase_add_test(tc, names_the_range);
	tcase_add_test(tc, says_what_is_not_in_this_version);
	tcase_add_test(tc, sizes_the_journal_by_segments_that_hold_packets);
	tcase_add_test(tc, wants_four_of_the_largest_packets_in_a_segment);
	tcase_add_test(tc, has_a_backlog_where_there_is_a_journal);
	tcase_add_test(tc, counts_the_windows_of_the_journal);
	tcase_add_test(
	    tc, gives_an_account_all_scopes_and_topics_unless_it_says_less);
	tcase_add_test(tc, checks_scopes_and_filters);
	tcase_add_test(tc, checks_what_a_key_says);
	tcase_add_test(tc, takes_one_rule_for_tokens_or_several);
	tcase_add_test(tc, limits_wrong_credentials_unless_told_not_to);
	tcase_add_test(tc, finds_two_bridges_of_one_name);
	tcase_add_test(tc, checks_what_a_bridge_says);
	tcase_add_test(tc, wants_a_session_for_qos_2);
	tcase_add_test(tc, finds_what_a_reload_changes_of_a_bridge);
	tcase_add_test(tc, checks_what_a_bridge_says_when_it_connects);
	tcase_add_test(tc, puts_rules_for_both_directions_behind_the_others);
	tcase_add_test(tc, refuses_keys_that_a_rule_of_that_direction_lacks);
	tcase_add_test(tc, checks_templates_against_their_filter);
	tcase_add_test(tc, checks_topic_filters);
	tcase_add_test(tc, reports_all_mistakes_at_once);
	tcase_add_test(tc, places_mistakes_inside_includes);
	tcase_add_test(tc, reports_syntax_errors_and_missing_files);
	tcase_add_test(tc, takes_file_names_from_the_folder_of_the_file);
	tcase_add_test(tc, reads_accounts_that_only_their_owner_may_read);
	tcase_add_test(tc, reads_the_first_line_of_a_secret);
	tcase_add_test(tc, bounds_memory_by_the_sum_of_its_terms);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
