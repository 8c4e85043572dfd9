/* SPDX-License-Identifier: Apache-2.0 */

#include "httpd/api.h"

#include <string.h>

#include "httpd/endpoints.h"
#include "httpd/metrics.h"
#include "httpd/parameters.h"
#include "httpd/request.h"
#include "tests/unit/unit.h"

static const struct api_field fields[] = {
	{ "a", "first", API_AS_IS, API_V4 | API_V5 },
	{ "old", "first", API_AS_IS, API_V4 },
	{ "when", "time", API_TIME, API_V4 | API_V5 },
	{ "host", "address", API_ADDRESS, API_V4 | API_V5 },
	{ "port", "address", API_PORT, API_V4 | API_V5 },
	{ "state", "up", API_CONNECTED, API_V4 | API_V5 },
	{ "flag", "up", API_NUMBER, API_V4 | API_V5 },
	{ "kind", "protocol", API_PROTOCOL, API_V4 | API_V5 },
};

/* What the fields make of one object, as text; the caller frees it. */
static char *
mapped(const char *path, const char *object)
{
	struct request request;
	unsigned methods;
	json_t *list, *out;
	char *text;

	request_init(&request);
	request.endpoint = endpoints_find(path, REQUEST_GET, &methods);
	ck_assert_ptr_nonnull(request.endpoint);
	list = json_pack("[o]", json_loads(object, 0, NULL));
	ck_assert_ptr_nonnull(list);
	out = api_map(&request, list, fields, 8);
	ck_assert_uint_eq(json_array_size(out), 1);
	text =
	    json_dumps(json_array_get(out, 0), JSON_COMPACT | JSON_SORT_KEYS);
	json_decref(list);
	json_decref(out);
	return text;
}

#define FULL                                                                   \
	"{\"first\":null,\"time\":86399,\"address\":\"10.0.0.1:1883\","        \
	"\"up\":true,\"protocol\":5,\"more\":1}"

START_TEST(fields_get_the_names_of_their_api)
{
	char *text = mapped("/api/v4/clients", FULL);

	ck_assert_str_eq(text,
	    "{\"a\":null,\"flag\":1,\"host\":\"10.0.0.1\",\"kind\":\"MQTT\","
	    "\"old\":null,\"port\":1883,\"state\":\"connected\","
	    "\"when\":\"1970-01-01 23:59:59\"}");
	free(text);
	text = mapped("/api/v5/clients", FULL);
	ck_assert_str_eq(text,
	    "{\"a\":null,\"flag\":1,\"host\":\"10.0.0.1\",\"kind\":\"MQTT\","
	    "\"port\":1883,\"state\":\"connected\","
	    "\"when\":\"1970-01-01T23:59:59.000+00:00\"}");
	free(text);
}
END_TEST

START_TEST(what_is_not_said_is_left_out)
{
	char *text = mapped("/api/v4/clients",
	    "{\"time\":null,\"address\":\"[fe80::1]:9\",\"up\":false}");

	ck_assert_str_eq(text,
	    "{\"flag\":0,\"host\":\"fe80::1\",\"port\":9,"
	    "\"state\":\"disconnected\"}");
	free(text);
	text = mapped("/api/v4/clients", "{\"address\":7}");
	ck_assert_str_eq(text, "{}");
	free(text);
}
END_TEST

START_TEST(parameters_may_have_an_underscore_before_them)
{
	ck_assert_ptr_eq(parameter_find(slice_of_string("_limit")),
	    parameter_find(slice_of_string("limit")));
	ck_assert_ptr_nonnull(parameter_find(slice_of_string("limit")));
	ck_assert_ptr_null(parameter_find(slice_of_string("__limit")));
	ck_assert_ptr_null(parameter_find(slice_of_string("limi")));
	ck_assert_ptr_null(parameter_find(slice_of_string("_")));
	ck_assert_ptr_null(parameter_find(slice_of_string("")));
}
END_TEST

static unsigned
occurrences(const char *text, const char *word)
{
	unsigned found = 0;

	while ((text = strstr(text, word)) != NULL) {
		found++;
		text++;
	}
	return found;
}

/* Another process said it: what makes no sense is left out. */
START_TEST(bridges_have_a_sample_each_in_each_family)
{
	json_t *bridges;
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	bridges =
	    json_loads("[{\"name\":\"a\\\"b\",\"accepted\":5,\"stalled\":true,"
		       "\"producers\":{\"offered\":7}},"
		       "{\"name\":\"c\",\"accepted\":6,\"stalled\":false},"
		       "{\"accepted\":1},{\"name\":3,\"accepted\":1},4]",
		0, NULL);
	ck_assert_ptr_nonnull(bridges);
	metrics_write_bridges(out, bridges);
	fclose(out);
	json_decref(bridges);
	ck_assert_ptr_nonnull(strstr(text,
	    "# TYPE weir_bridge_accepted_messages_total counter\n"
	    "weir_bridge_accepted_messages_total{bridge=\"a\\\"b\"} 5\n"
	    "weir_bridge_accepted_messages_total{bridge=\"c\"} 6\n#"));
	ck_assert_ptr_nonnull(strstr(text,
	    "weir_bridge_stalled{bridge=\"a\\\"b\"} 1\n"
	    "weir_bridge_stalled{bridge=\"c\"} 0\n#"));
	ck_assert_ptr_nonnull(strstr(text,
	    "weir_bridge_offered_messages_total{bridge=\"a\\\"b\"} 7\n#"));
	ck_assert_uint_eq(occurrences(text, "{"), 5);
	free(text);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("http_api");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, fields_get_the_names_of_their_api);
	tcase_add_test(tc, what_is_not_said_is_left_out);
	tcase_add_test(tc, parameters_may_have_an_underscore_before_them);
	tcase_add_test(tc, bridges_have_a_sample_each_in_each_family);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
