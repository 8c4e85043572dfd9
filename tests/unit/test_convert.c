/* SPDX-License-Identifier: Apache-2.0 */

#include "ctl/convert.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/conf/conf.h"
#include "tests/unit/unit.h"

static char folder[64], path[96], result[96];
static char *written, *told; /* of the last convert() */
static unsigned left;

static void
set_up(void)
{
	strcpy(folder, "/tmp/weir-test-convert-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/other.conf", folder);
	snprintf(result, sizeof(result), "%s/weir.conf", folder);
}

static void
tear_down(void)
{
	char command[128];

	free(written);
	free(told);
	written = told = NULL;
	snprintf(command, sizeof(command), "rm -r %s", folder);
	ck_assert_int_eq(system(command), 0);
}

static void
write_bytes(const char *name, const char *bytes, size_t length)
{
	FILE *file = fopen(name, "w");

	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(bytes, 1, length, file), length);
	fclose(file);
}

static int
convert_bytes(const char *bytes, size_t length, enum convert_format format)
{
	FILE *out, *errors;
	size_t size;
	int err;

	free(written);
	free(told);
	write_bytes(path, bytes, length);
	out = open_memstream(&written, &size);
	errors = open_memstream(&told, &size);
	err = convert_file(path, format, out, errors, &left);
	fclose(out);
	fclose(errors);
	return err;
}

static int
convert(const char *text)
{
	return convert_bytes(text, strlen(text), CONVERT_GUESS);
}

/* What was written, as any program of ours reads it. */
static struct conf *
load(void)
{
	struct conf *conf = NULL;

	write_bytes(result, written, strlen(written));
	ck_assert_int_eq(conf_load(result, &conf, stderr), 0);
	return conf;
}

/* ---- mosquitto.conf -------------------------------------------------------
 */

START_TEST(takes_over_listeners)
{
	struct conf *conf;

	ck_assert_int_eq(convert("max_queued_messages 5000\n"
				 "listener 1883 127.0.0.1\r\n"
				 "  # a comment\n"
				 "listener 1884\n"
				 "max_connections 100\n"
				 "allow_anonymous true\n"
				 "listener 8083 127.0.0.1\n"
				 "protocol websockets\n"
				 "websockets_origin https://a.example\n"
				 "listener 0 /run/mosquitto/sock\n"),
	    0);
	ck_assert_uint_eq(left, 0);
	conf = load();
	ck_assert_uint_eq(conf->listener_count, 4);
	ck_assert_str_eq(conf->listeners[3].bind, "unix:/run/mosquitto/sock");
	ck_assert(!conf->listeners[3].allow_anonymous);
	ck_assert_ptr_null(conf->listeners[1].websocket);
	ck_assert_str_eq(conf->listeners[2].websocket, "/mqtt");
	ck_assert_uint_eq(conf->listeners[2].websocket_origins.count, 1);
	ck_assert_str_eq(conf->listeners[0].bind, "127.0.0.1:1883");
	ck_assert(!conf->listeners[0].allow_anonymous);
	ck_assert_str_eq(conf->listeners[1].bind, ":1884");
	ck_assert(conf->listeners[1].allow_anonymous);
	ck_assert_uint_eq(conf->listeners[1].max_connections, 100);
	ck_assert_uint_eq(conf->max_queued_messages, 5000);
	ck_assert_int_eq(conf->durability, CONF_DURABILITY_DISK);
	conf_free(conf);
}
END_TEST

START_TEST(knows_the_listener_that_is_not_named)
{
	struct conf *conf;

	ck_assert_int_eq(convert("allow_anonymous true\n"), 0);
	conf = load();
	ck_assert_uint_eq(conf->listener_count, 1);
	ck_assert_str_eq(conf->listeners[0].bind, "127.0.0.1:1883");
	ck_assert(conf->listeners[0].allow_anonymous);
	conf_free(conf);

	ck_assert_int_eq(convert("port 1999\nbind_address ::1\n"
				 "persistence false\n"),
	    0);
	conf = load();
	ck_assert_uint_eq(conf->listener_count, 1);
	ck_assert_str_eq(conf->listeners[0].bind, "[::1]:1999");
	ck_assert(!conf->listeners[0].allow_anonymous);
	conf_free(conf);
}
END_TEST

START_TEST(takes_over_the_tls_of_listeners)
{
	struct conf *conf;

	ck_assert_int_eq(convert("listener 8883\n"
				 "require_certificate true\n"
				 "cafile /etc/ca.pem\n"
				 "certfile /etc/c.pem\n"
				 "keyfile /etc/k.pem\n"
				 "crlfile /etc/crl.pem\n"
				 "listener 8884\n"
				 "cafile /etc/ca.pem\n"
				 "certfile /etc/c.pem\n"
				 "keyfile /etc/k.pem\n"
				 "require_certificate false\n"
				 "use_identity_as_username true\n"),
	    0);
	ck_assert_uint_eq(left, 1);
	ck_assert_ptr_nonnull(
	    strstr(told, "other.conf:12: use_identity_as_username"));
	conf = load();
	ck_assert_uint_eq(conf->listener_count, 2);
	ck_assert_str_eq(conf->listeners[0].tls.cert, "/etc/c.pem");
	ck_assert_str_eq(conf->listeners[0].tls.key, "/etc/k.pem");
	ck_assert_str_eq(conf->listeners[0].tls.ca_file, "/etc/ca.pem");
	ck_assert_str_eq(conf->listeners[0].tls.crl_file, "/etc/crl.pem");
	ck_assert(!conf->listeners[0].tls.client_cert_optional);
	ck_assert(conf->listeners[1].tls.client_cert_optional);
	conf_free(conf);
}
END_TEST

START_TEST(leaves_out_the_listener_that_has_no_port_beside_others)
{
	struct conf *conf;

	ck_assert_int_eq(convert("certfile /etc/c.pem\n"
				 "keyfile /etc/k.pem\n"
				 "listener 1883 127.0.0.1\n"),
	    0);
	ck_assert_uint_eq(left, 1);
	ck_assert_ptr_nonnull(strstr(told, "before the first listener"));
	conf = load();
	ck_assert_uint_eq(conf->listener_count, 1);
	ck_assert_str_eq(conf->listeners[0].bind, "127.0.0.1:1883");
	ck_assert(!conf->listeners[0].tls.enabled);
	conf_free(conf);
}
END_TEST

START_TEST(says_that_a_listener_of_pre_shared_keys_is_none_any_more)
{
	ck_assert_int_eq(convert("listener 8883\npsk_hint there\n"), 0);
	ck_assert_uint_eq(left, 1);
	ck_assert_ptr_nonnull(strstr(told, "tls.psk_file"));
}
END_TEST

static const char a_bridge[] = "listener 1883 127.0.0.1\n"
			       "connection Cloud One\n"
			       "address cloud.example\n"
			       "topic sensors/#\n"
			       "topic cmd/# in 2 local/ remote/\n"
			       "topic x/y both 0 \"\" site/\n"
			       "bridge_protocol_version mqttv50\n"
			       "remote_username me\n"
			       "remote_password secret\n"
			       "restart_timeout 5 60\n"
			       "keepalive_interval 45\n"
			       "cleansession false\n";

START_TEST(takes_over_a_bridge)
{
	const struct conf_bridge *bridge;
	struct conf *conf;

	ck_assert_int_eq(convert(a_bridge), 0);
	/* It has another name. */
	ck_assert_uint_eq(left, 1);
	ck_assert_ptr_nonnull(strstr(told, "other.conf:2: connection"));
	conf = load();
	bridge = conf_bridge(conf, "cloud-one");
	ck_assert_ptr_nonnull(bridge);
	ck_assert_str_eq(bridge->host, "cloud.example");
	ck_assert_uint_eq(bridge->port, 1883);
	ck_assert_int_eq(bridge->protocol, CONF_PROTOCOL_5_0);
	ck_assert_str_eq(bridge->username, "me");
	ck_assert_str_eq(bridge->password, "secret");
	ck_assert_uint_eq(bridge->keepalive_ns, UINT64_C(45000000000));
	ck_assert_uint_eq(bridge->retry_min_ns, UINT64_C(5000000000));
	ck_assert_uint_eq(bridge->retry_max_ns, UINT64_C(60000000000));
	ck_assert_uint_eq(bridge->forward_count, 2);
	ck_assert_str_eq(bridge->forward[0].filter, "sensors/#");
	ck_assert_uint_eq(bridge->forward[0].qos, 0);
	ck_assert_uint_eq(bridge->receive_count, 2);
	ck_assert_uint_eq(bridge->receive[0].qos, 2);
	ck_assert_str_eq(bridge->receive[0].local_prefix, "local/");
	ck_assert_str_eq(bridge->receive[0].remote_prefix, "remote/");
	conf_free(conf);
}
END_TEST

START_TEST(takes_over_a_bridge_by_tls)
{
	const struct conf_bridge *bridge;
	struct conf *conf;

	ck_assert_int_eq(convert("listener 1883 127.0.0.1\n"
				 "connection far\n"
				 "addresses a.example:8883 b.example\n"
				 "round_robin true\n"
				 "topic \"\" out 1 here/t there/t\n"
				 "topic # out\n"
				 "bridge_outgoing_retain false\n"
				 "bridge_cafile /etc/ca.pem\n"
				 "bridge_tcp_keepalive 30 5 3\n"
				 "notifications false\n"
				 "start_type lazy\n"
				 "listener 1884\n"),
	    0);
	ck_assert_uint_eq(left, 0);
	conf = load();
	ck_assert_uint_eq(conf->listener_count, 2);
	bridge = conf_bridge(conf, "far");
	ck_assert_ptr_nonnull(bridge);
	ck_assert_ptr_nonnull(strstr(written,
	    "\"mqtts://a.example:8883\", "
	    "\"mqtts://b.example:1883\""));
	ck_assert_str_eq(bridge->tls.ca_file, "/etc/ca.pem");
	ck_assert_int_eq(bridge->protocol, CONF_PROTOCOL_3_1_1);
	ck_assert_int_eq(bridge->notifications, CONF_NOTIFICATIONS_NONE);
	ck_assert_int_eq(bridge->start, CONF_START_LAZY);
	ck_assert_uint_eq(bridge->tcp_keepalive_ns, UINT64_C(30000000000));
	ck_assert_uint_eq(bridge->forward_count, 2);
	ck_assert_str_eq(bridge->forward[0].filter, "here/t");
	ck_assert_str_eq(bridge->forward[0].remote_topic, "there/t");
	ck_assert_int_eq(bridge->forward[1].retain, CONF_RETAIN_CLEAR);
	conf_free(conf);
}
END_TEST

START_TEST(drops_nothing_in_silence)
{
	ck_assert_int_eq(convert("listener 1883 127.0.0.1\n"
				 "frobnicate 7\n"
				 "password_file /etc/secrets\n"
				 "plugin /lib/x.so\n"
				 "pid_file /run/x.pid\n"),
	    0);
	ck_assert_uint_eq(left, 3);
	ck_assert_ptr_nonnull(strstr(told, "other.conf:2: frobnicate 7"));
	ck_assert_ptr_nonnull(strstr(written, "other.conf:2: frobnicate 7"));
	ck_assert_ptr_nonnull(strstr(told, "other.conf:3: password_file"));
	ck_assert_ptr_nonnull(strstr(told, "other.conf:4: plugin"));
	/* It needs nothing, and that is said too. */
	ck_assert_ptr_null(strstr(told, "pid_file"));
	ck_assert_ptr_nonnull(strstr(written, "other.conf:5: pid_file"));
}
END_TEST

START_TEST(includes_a_folder_in_order)
{
	char text[128], name[128];
	struct conf *conf;

	snprintf(name, sizeof(name), "%s/d", folder);
	ck_assert_int_eq(mkdir(name, 0700), 0);
	snprintf(name, sizeof(name), "%s/d/b.conf", folder);
	write_bytes(name, "listener 2\n", 11);
	snprintf(name, sizeof(name), "%s/d/a.conf", folder);
	write_bytes(name, "listener 1\nnonsense 1\n", 22);
	snprintf(name, sizeof(name), "%s/d/c.txt", folder);
	write_bytes(name, "listener 3\n", 11);
	snprintf(text, sizeof(text), "include_dir %s/d\n", folder);
	ck_assert_int_eq(convert(text), 0);
	ck_assert_ptr_nonnull(strstr(told, "d/a.conf:2: nonsense"));
	conf = load();
	ck_assert_uint_eq(conf->listener_count, 2);
	ck_assert_str_eq(conf->listeners[0].bind, ":1");
	conf_free(conf);

	/* A file that includes its own folder ends. */
	snprintf(name, sizeof(name), "%s/d/a.conf", folder);
	write_bytes(name, text, strlen(text));
	ck_assert_int_eq(convert(text), -EINVAL);
	ck_assert_ptr_nonnull(strstr(told, "include each other"));
}
END_TEST

/* ---- nanomq.conf ----------------------------------------------------------
 */

static const char objects[] =
    "# a comment\n"
    "mqtt { max_packet_size = 1MB, max_mqueue_len = 2048 }\n"
    "listeners.tcp { bind = \"0.0.0.0:1883\" }\n"
    "http_server {\n"
    "  port = 8081 // the port\n"
    "  username = admin\n"
    "  password = public\n"
    "}\n"
    "log = { to = [file, console], level = warn }\n"
    "auth { allow_anonymous = false }\n"
    "bridges.mqtt.emqx1 {\n"
    "  server = \"mqtt-tcp://broker.example:1884\"\n"
    "  proto_ver = 4\n"
    "  keepalive = 60s\n"
    "  forwards = [\n"
    "    { remote_topic = \"fwd/t\", local_topic = \"t\", qos = 1 }\n"
    "    { remote_topic = \"\", local_topic = \"f2/#\", qos = 2 },\n"
    "    { remote_topic = \"far/a/#\", local_topic = \"near/a/#\" }\n"
    "    { remote_topic = \"x\", local_topic = \"a/#\", retain = 0 }\n"
    "    { remote_topic = \"x/+\", local_topic = \"b/#\" }\n"
    "  ]\n"
    "  subscription = [\n"
    "    { remote_topic = \"cmd/#\", local_topic = \"here/cmd/#\" }\n"
    "  ]\n"
    "}\n";

START_TEST(takes_over_objects)
{
	const struct conf_bridge *bridge;
	struct conf *conf;

	ck_assert_int_eq(convert(objects), 0);
	ck_assert_uint_eq(left, 1);
	ck_assert_ptr_nonnull(strstr(told, "b/# here and x/+ there"));
	conf = load();
	ck_assert_uint_eq(conf->max_packet_size, 1u << 20);
	ck_assert_uint_eq(conf->max_queued_messages, 2048);
	ck_assert_str_eq(conf->listeners[0].bind, "0.0.0.0:1883");
	ck_assert(!conf->listeners[0].allow_anonymous);
	ck_assert_str_eq(conf->http.bind, "0.0.0.0:8081");
	ck_assert_uint_eq(conf->account_count, 1);
	ck_assert_str_eq(conf->accounts[0].name, "admin");
	ck_assert_str_eq(conf->accounts[0].password, "public");
	bridge = conf_bridge(conf, "emqx1");
	ck_assert_ptr_nonnull(bridge);
	ck_assert_uint_eq(bridge->port, 1884);
	ck_assert_int_eq(bridge->protocol, CONF_PROTOCOL_3_1_1);
	ck_assert_uint_eq(bridge->forward_count, 4);
	ck_assert_str_eq(bridge->forward[0].filter, "t");
	ck_assert_str_eq(bridge->forward[0].remote_prefix, "fwd/");
	ck_assert_str_eq(bridge->forward[1].filter, "f2/#");
	ck_assert_uint_eq(bridge->forward[1].qos, 2);
	ck_assert_str_eq(bridge->forward[2].filter, "a/#");
	ck_assert_str_eq(bridge->forward[2].local_prefix, "near/");
	ck_assert_str_eq(bridge->forward[2].remote_prefix, "far/");
	ck_assert_str_eq(bridge->forward[3].filter, "a/#");
	ck_assert_str_eq(bridge->forward[3].remote_topic, "x");
	ck_assert_int_eq(bridge->forward[3].retain, CONF_RETAIN_CLEAR);
	ck_assert_uint_eq(bridge->receive_count, 1);
	ck_assert_str_eq(bridge->receive[0].filter, "cmd/#");
	ck_assert_str_eq(bridge->receive[0].local_prefix, "here/");
	conf_free(conf);
}
END_TEST

START_TEST(takes_over_lines)
{
	const struct conf_bridge *bridge;
	struct conf *conf;

	ck_assert_int_eq(
	    convert("url=nmq-tcp://127.0.0.1:1885\n"
		    "num_taskq_thread=4\n"
		    "bridge.mqtt.cloud.address=mqtt-tcp://b.example:1883\n"
		    "bridge.mqtt.cloud.proto_ver=5\n"
		    "bridge.mqtt.cloud.forwards=t1/#,t2/#\n"
		    "bridge.mqtt.cloud.subscription.1.topic=cmd/t\n"
		    "bridge.mqtt.cloud.subscription.1.qos=2\n"),
	    0);
	ck_assert_uint_eq(left, 0);
	conf = load();
	ck_assert_str_eq(conf->listeners[0].bind, "127.0.0.1:1885");
	ck_assert(conf->listeners[0].allow_anonymous);
	ck_assert_uint_eq(conf->workers, 4);
	bridge = conf_bridge(conf, "cloud");
	ck_assert_ptr_nonnull(bridge);
	ck_assert_uint_eq(bridge->forward_count, 2);
	ck_assert_str_eq(bridge->forward[1].filter, "t2/#");
	ck_assert_uint_eq(bridge->receive_count, 1);
	ck_assert_str_eq(bridge->receive[0].filter, "cmd/t");
	ck_assert_uint_eq(bridge->receive[0].qos, 2);
	conf_free(conf);
}
END_TEST

START_TEST(says_what_it_cannot_read)
{
	static const struct {
		const char *text, *said;
	} wrong[] = {
		{ "a { b = 1\n", "a { is not closed" },
		{ "a = [ 1, 2\n", "a [ is not closed" },
		{ "a { b = [ 1 }\n ]", "a } in a list" },
		{ "a = \"b\n", "a quote is not closed" },
		{ "a = 1\n}\n", "a } without its {" },
		{ "a = 1\nb\nc = 2\n", "a key needs =" },
		{ "a = 1\ninclude \"/nonexistent/x\"\n", "cannot read" },
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		ck_assert_int_eq(convert(wrong[i].text), -EINVAL);
		ck_assert_ptr_nonnull(strstr(told, wrong[i].said));
		ck_assert_ptr_nonnull(strstr(told, "other.conf:"));
		ck_assert_str_eq(written, "");
	}
}
END_TEST

/* Its rules are written in the end, when all files have been closed. */
START_TEST(names_the_file_of_a_rule_that_was_included)
{
	static const char rules[] =
	    "bridges.mqtt.far {\n"
	    "  server = \"mqtt-tcp://broker.example:1884\"\n"
	    "  forwards = [\n"
	    "    { remote_topic = \"x/+/y\", local_topic = \"a/#\" }\n"
	    "  ]\n"
	    "}\n";
	char text[128], name[128];

	snprintf(name, sizeof(name), "%s/inner", folder);
	write_bytes(name, rules, strlen(rules));
	snprintf(text, sizeof(text), "include \"%s/inner\"\n", folder);
	snprintf(name, sizeof(name), "%s/middle", folder);
	write_bytes(name, text, strlen(text));
	snprintf(text, sizeof(text), "include \"%s/middle\"\n", folder);
	ck_assert_int_eq(convert_bytes(text, strlen(text), CONVERT_NANOMQ), 0);
	ck_assert_ptr_nonnull(strstr(told, "/inner:4: forward"));
}
END_TEST

/* ---- both -----------------------------------------------------------------
 */

START_TEST(tells_no_secret)
{
	ck_assert_int_eq(convert("connection a\naddress b\n"
				 "local_password geheim\n"),
	    0);
	ck_assert_uint_eq(left, 1);
	ck_assert_ptr_null(strstr(told, "geheim"));
	ck_assert_ptr_null(strstr(written, "geheim"));
}
END_TEST

/* Cut anywhere, or with another byte anywhere, it is read to its end. */
static void
try_all(const char *text, size_t length, enum convert_format format)
{
	static const char bytes[] = "{}[]\"=#:,\n\\ \377\001";
	char copy[2048];

	ck_assert_uint_lt(length, sizeof(copy));
	for (size_t i = 0; i < length; i++) {
		convert_bytes(text, i, format);
		memcpy(copy, text, length);
		copy[i] = bytes[i % (sizeof(bytes) - 1)];
		convert_bytes(copy, length, format);
	}
}

START_TEST(survives_any_change)
{
	try_all(objects, sizeof(objects) - 1, CONVERT_NANOMQ);
	try_all(a_bridge, sizeof(a_bridge) - 1, CONVERT_MOSQUITTO);
}
END_TEST

START_TEST(bounds_what_it_reads)
{
	char *deep = calloc(1, CONVERT_FILE_MAX + 2);

	ck_assert_ptr_nonnull(deep);
	for (unsigned i = 0; i < 1000; i++)
		memcpy(deep + 2 * i, "a{", 2);
	ck_assert_int_eq(convert(deep), -EINVAL);
	ck_assert_ptr_nonnull(strstr(told, "too deep"));
	memset(deep, '#', CONVERT_FILE_MAX + 1);
	ck_assert_int_eq(
	    convert_bytes(deep, CONVERT_FILE_MAX + 1, CONVERT_MOSQUITTO),
	    -EFBIG);
	ck_assert_int_eq(convert_bytes("a\0b", 3, CONVERT_MOSQUITTO), -EBADMSG);
	free(deep);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("convert");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, takes_over_listeners);
	tcase_add_test(tc, knows_the_listener_that_is_not_named);
	tcase_add_test(tc, takes_over_the_tls_of_listeners);
	tcase_add_test(
	    tc, leaves_out_the_listener_that_has_no_port_beside_others);
	tcase_add_test(
	    tc, says_that_a_listener_of_pre_shared_keys_is_none_any_more);
	tcase_add_test(tc, takes_over_a_bridge);
	tcase_add_test(tc, takes_over_a_bridge_by_tls);
	tcase_add_test(tc, drops_nothing_in_silence);
	tcase_add_test(tc, includes_a_folder_in_order);
	tcase_add_test(tc, takes_over_objects);
	tcase_add_test(tc, takes_over_lines);
	tcase_add_test(tc, says_what_it_cannot_read);
	tcase_add_test(tc, names_the_file_of_a_rule_that_was_included);
	tcase_add_test(tc, tells_no_secret);
	tcase_add_test(tc, survives_any_change);
	tcase_add_test(tc, bounds_what_it_reads);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
