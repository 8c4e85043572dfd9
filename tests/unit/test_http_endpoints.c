/* SPDX-License-Identifier: Apache-2.0 */

#include "httpd/endpoints.h"

#include <string.h>

#include "httpd/openapi.h"
#include "httpd/parameters.h"
#include "httpd/uri.h"
#include "tests/unit/unit.h"

START_TEST(a_row_is_found_by_path_and_method)
{
	const struct endpoint *row;
	unsigned methods;

	row = endpoints_find("/api/v5/publish", REQUEST_POST, &methods);
	ck_assert_ptr_nonnull(row);
	ck_assert_str_eq(row->name, "publish_v5");
	row = endpoints_find("/healthz", REQUEST_HEAD, &methods);
	ck_assert_ptr_nonnull(row);
	ck_assert_str_eq(row->name, "healthz");
}
END_TEST

START_TEST(an_unknown_path_has_no_methods_and_a_known_one_all_of_its_own)
{
	unsigned methods = 99;
	char allow[64];

	ck_assert_ptr_null(endpoints_find("/no", REQUEST_GET, &methods));
	ck_assert_uint_eq(methods, 0);
	ck_assert_ptr_null(
	    endpoints_find("/healthz", REQUEST_DELETE, &methods));
	endpoints_allow(methods, allow, sizeof(allow));
	ck_assert_str_eq(allow, "GET, HEAD");
	ck_assert_ptr_null(
	    endpoints_find("/api/v5/publish", REQUEST_OTHER, &methods));
	endpoints_allow(methods, allow, sizeof(allow));
	ck_assert_str_eq(allow, "POST");
}
END_TEST

START_TEST(a_name_goes_before_what_may_be_any)
{
	const struct endpoint *row;
	unsigned methods;

	row = endpoints_find(
	    "/api/v4/bridges/x/dead/retry", REQUEST_POST, &methods);
	ck_assert_str_eq(row->name, "dead_retry_all");
	ck_assert_uint_eq(methods, REQUEST_POST);
	ck_assert_ptr_null(endpoints_find(
	    "/api/v4/bridges/x/dead/retry", REQUEST_GET, &methods));
	row = endpoints_find("/api/v4/bridges/x/dead/7", REQUEST_GET, &methods);
	ck_assert_str_eq(row->name, "dead_show");
	row =
	    endpoints_find("/api/v4/bridges/switch/x", REQUEST_POST, &methods);
	ck_assert_str_eq(row->name, "bridge_switch");
}
END_TEST

static void
check_names(const char *list, size_t length)
{
	ck_assert_ptr_nonnull(parameter_find(slice_of(list, length)));
}

START_TEST(each_row_says_what_is_needed_to_describe_it)
{
	const struct endpoint *row;
	const char *at;

	for (size_t i = 0; (row = endpoints_at(i)) != NULL; i++) {
		ck_assert_msg(row->summary[strlen(row->summary) - 1] == '.',
		    "%s", row->name);
		ck_assert(row->access == ENDPOINT_OPEN ||
		    row->right != ENDPOINT_NONE ||
		    strcmp(row->path, "/api/v4") == 0);
		if (row->body[0] != '\0')
			ck_assert_ptr_nonnull(openapi_schema_find(row->body));
		if (row->reply[0] != '\0')
			ck_assert_msg(openapi_schema_find(row->reply) != NULL &&
				openapi_schema_find(row->reply)->statuses[0] !=
				    '\0',
			    "%s", row->name);
		for (at = row->path; (at = strchr(at, '{')) != NULL; at++)
			check_names(at + 1, strcspn(at, "}") - 1);
		for (at = row->query; *at != '\0';
		     at += strcspn(at, " "), at += strspn(at, " "))
			check_names(at, strcspn(at, " "));
	}
}
END_TEST

/* An earlier row would answer for a later one. */
START_TEST(no_row_hides_another)
{
	const struct endpoint *a, *b;
	unsigned methods;

	for (size_t i = 0; (a = endpoints_at(i)) != NULL; i++) {
		for (size_t k = i + 1; (b = endpoints_at(k)) != NULL; k++) {
			ck_assert_str_ne(a->name, b->name);
			ck_assert(a->method != b->method ||
			    strcmp(a->path, b->path) != 0);
		}
		if (strchr(a->path, '{') == NULL)
			ck_assert_ptr_eq(
			    endpoints_find(a->path, a->method, &methods), a);
	}
}
END_TEST

START_TEST(schemas_are_json)
{
	const struct openapi_schema *schema;
	json_error_t at;
	json_t *json;

	for (size_t i = 0; (schema = openapi_schema_at(i)) != NULL; i++) {
		json = json_loads(schema->text, JSON_REJECT_DUPLICATES, &at);
		ck_assert_msg(
		    json_is_object(json), "%s: %s", schema->name, at.text);
		json_decref(json);
	}
}
END_TEST

/* Follow each reference; count them. */
static unsigned
check_references(const json_t *root, json_t *json)
{
	const char *target = json_string_value(json_object_get(json, "$ref"));
	const json_t *found = root;
	unsigned count = 0;
	struct slice path;
	json_t *value;
	char name[64];
	const char *key;
	size_t i;

	if (target != NULL) {
		ck_assert(strncmp(target, "#/", 2) == 0);
		path = slice_of_string(target + 2);
		while (path.len > 0) {
			i = slice_find(path, '/');
			memcpy(name, path.data, i);
			name[i] = '\0';
			found = json_object_get(found, name);
			ck_assert_msg(found != NULL, "%s", target);
			path = slice_from(path, i + 1);
		}
		count++;
	}
	json_object_foreach(json, key, value) count +=
	    check_references(root, value);
	json_array_foreach(json, i, value) count +=
	    check_references(root, value);
	return count;
}

START_TEST(the_document_has_each_row_and_its_references_resolve)
{
	json_t *document = openapi_document(), *path;
	const struct endpoint *row;

	ck_assert_ptr_nonnull(document);
	for (size_t i = 0; (row = endpoints_at(i)) != NULL; i++) {
		path = json_object_get(
		    json_object_get(document, "paths"), row->path);
		ck_assert_msg(json_is_object(path), "%s", row->path);
	}
	ck_assert_uint_gt(check_references(document, document), 10);
	json_decref(document);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("http_endpoints");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, a_row_is_found_by_path_and_method);
	tcase_add_test(
	    tc, an_unknown_path_has_no_methods_and_a_known_one_all_of_its_own);
	tcase_add_test(tc, a_name_goes_before_what_may_be_any);
	tcase_add_test(tc, each_row_says_what_is_needed_to_describe_it);
	tcase_add_test(tc, no_row_hides_another);
	tcase_add_test(tc, schemas_are_json);
	tcase_add_test(
	    tc, the_document_has_each_row_and_its_references_resolve);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
