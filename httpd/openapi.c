/* SPDX-License-Identifier: Apache-2.0 */

#include "httpd/openapi.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/bug.h"
#include "httpd/connection.h"
#include "httpd/endpoints.h"
#include "httpd/httpd.h"
#include "httpd/parameters.h"

#define WORD_MAX 32

/* The next word of a list with blanks between; false at its end. */
static bool
next_word(const char **list, char word[WORD_MAX])
{
	size_t length;

	*list += strspn(*list, " ");
	length = strcspn(*list, " ");
	if (length == 0)
		return false;
	BUG_ON(length >= WORD_MAX);
	memcpy(word, *list, length);
	word[length] = '\0';
	*list += length;
	return true;
}

static json_t *
reference(const char *kind, const char *name)
{
	return json_pack("{s:s++}", "$ref", "#/components/", kind, name);
}

/* {"application/json":{"schema":...}} */
static json_t *
json_content(const char *schema)
{
	return json_pack("{s:{s:o}}", "application/json", "schema",
	    reference("schemas/", schema));
}

/* ---- parameters ---------------------------------------------------------- */

static void
add_parameter(json_t *array, const char *name, size_t length, bool is_path)
{
	const struct parameter *row = parameter_find(slice_of(name, length));
	json_t *schema;

	BUG_ON(row == NULL);
	schema = row->most == 0
	    ? json_pack("{s:s}", "type", "string")
	    : json_pack("{s:s, s:i, s:I}", "type", "integer", "minimum", 1,
		  "maximum", (json_int_t)row->most);
	json_array_append_new(array,
	    json_pack("{s:s, s:s, s:b, s:s, s:o}", "name", row->name, "in",
		is_path ? "path" : "query", "required", is_path, "description",
		row->summary, "schema", schema));
}

static json_t *
parameters_of(const struct endpoint *row)
{
	json_t *array = json_array();
	const char *at = row->path;
	char word[WORD_MAX];

	while ((at = strchr(at, '{')) != NULL) {
		at++;
		add_parameter(array, at, strcspn(at, "}"), true);
	}
	at = row->query;
	while (next_word(&at, word))
		add_parameter(array, word, strlen(word), false);
	return array;
}

/* ---- responses ----------------------------------------------------------- */

static void
add_errors(json_t *responses, const char *list)
{
	char word[WORD_MAX];

	while (next_word(&list, word))
		json_object_set_new(responses, word,
		    reference("responses/",
			strcmp(word, "429") == 0 || strcmp(word, "503") == 0
			    ? "Later"
			    : "Error"));
}

static void
add_successes(json_t *responses, const struct endpoint *row)
{
	const struct openapi_schema *schema = openapi_schema_find(row->reply);
	const char *statuses = schema == NULL ? "200" : schema->statuses;
	char word[WORD_MAX];
	json_t *response;

	while (next_word(&statuses, word)) {
		response = json_pack("{s:s}", "description",
		    strcmp(word, "202") == 0 ? "Accepted; nobody wanted it"
			: strcmp(word, "207") == 0 ? "Some were refused"
						   : "Done");
		if (schema == NULL)
			json_object_set_new(response, "content",
			    json_pack("{s:{s:{s:s}}}", "text/plain", "schema",
				"type", "string"));
		else if (strcmp(word, "204") != 0)
			json_object_set_new(
			    response, "content", json_content(schema->name));
		json_object_set_new(responses, word, response);
	}
}

static json_t *
responses_of(const struct endpoint *row)
{
	json_t *responses = json_object();

	add_successes(responses, row);
	if (row->access != ENDPOINT_OPEN)
		add_errors(responses, "401 403 503");
	if (row->body[0] != '\0')
		add_errors(responses, "400 413 415");
	if (row->right == ENDPOINT_PUBLISH)
		add_errors(responses, "429 504");
	else if (row->right != ENDPOINT_NONE)
		add_errors(responses, "413 501 504");
	if (row->query[0] != '\0' || strchr(row->path, '{') != NULL)
		add_errors(responses, "400");
	if (strchr(row->path, '{') != NULL)
		add_errors(responses, "404");
	if (strcmp(row->path, "/healthz") == 0)
		json_object_set_new(responses, "503",
		    json_pack("{s:s}", "description", "The broker is away"));
	return responses;
}

/* ---- the document -------------------------------------------------------- */

static const char *
tag_of(const struct endpoint *row)
{
	if (row->right == ENDPOINT_PUBLISH)
		return "publish";
	if (strstr(row->path, "/bridges") != NULL)
		return "bridges";
	if (strstr(row->path, "/clients") != NULL)
		return "clients";
	if (strstr(row->path, "/subscriptions") != NULL ||
	    strstr(row->path, "/topic") != NULL)
		return "subscriptions";
	return "broker";
}

static void
add_security(json_t *operation, const struct endpoint *row)
{
	char text[96];

	if (row->right != ENDPOINT_NONE) {
		snprintf(text, sizeof(text), "Needs the scope %s.%s",
		    endpoints_right(row->right),
		    row->access == ENDPOINT_LOOPBACK
			? "  Open to clients of this host."
			: "");
		json_object_set_new(
		    operation, "description", json_string(text));
	}
	if (row->access == ENDPOINT_OPEN)
		json_object_set_new(operation, "security", json_array());
	else if (row->access == ENDPOINT_LOOPBACK)
		json_object_set_new(operation, "security",
		    json_pack("[{}, {s:[]}, {s:[]}]", "basic", "bearer"));
}

static json_t *
operation_of(const struct endpoint *row)
{
	json_t *operation;

	operation = json_pack("{s:s, s:s, s:[s], s:o, s:o}", "operationId",
	    row->name, "summary", row->summary, "tags", tag_of(row),
	    "parameters", parameters_of(row), "responses", responses_of(row));
	if (row->body[0] != '\0')
		json_object_set_new(operation, "requestBody",
		    json_pack("{s:b, s:o}", "required", 1, "content",
			json_content(row->body)));
	add_security(operation, row);
	return operation;
}

static json_t *
paths(void)
{
	json_t *object = json_object(), *path;
	const struct endpoint *row;
	char method[8];
	size_t length;

	for (size_t i = 0; (row = endpoints_at(i)) != NULL; i++) {
		path = json_object_get(object, row->path);
		if (path == NULL) {
			path = json_object();
			json_object_set_new(object, row->path, path);
		}
		length = (size_t)snprintf(method, sizeof(method), "%s",
		    endpoints_method(row->method));
		for (size_t k = 0; k < length; k++)
			method[k] = (char)(method[k] | 0x20);
		json_object_set_new(path, method, operation_of(row));
	}
	return object;
}

static json_t *
components(void)
{
	json_t *schemas = json_object();
	const struct openapi_schema *row;

	for (size_t i = 0; (row = openapi_schema_at(i)) != NULL; i++)
		json_object_set_new(
		    schemas, row->name, json_loads(row->text, 0, NULL));
	return json_pack("{s:o, s:{s:{s:s, s:o}, s:{s:s, s:o, s:{s:{s:s, "
			 "s:{s:s}}}}}, s:{s:{s:s, s:s}, s:{s:s, s:s}}}",
	    "schemas", schemas, "responses", "Error", "description",
	    "Refused; the body says why", "content", json_content("Error"),
	    "Later", "description", "Not now; the same may be sent again later",
	    "content", json_content("Error"), "headers", "Retry-After",
	    "description", "Seconds to wait.", "schema", "type", "integer",
	    "securitySchemes", "basic", "type", "http", "scheme", "basic",
	    "bearer", "type", "http", "scheme", "bearer");
}

json_t *
openapi_document(void)
{
	return json_pack("{s:s, s:{s:s, s:s, s:s, s:{s:s, s:s}}, s:[{s:[]}, "
			 "{s:[]}], s:o, s:o}",
	    "openapi", "3.0.3", "info", "title", "Weir", "version",
	    PACKAGE_VERSION, "description",
	    "Messages in by HTTP, and the management of the broker.", "license",
	    "name", "Apache-2.0", "url",
	    "https://www.apache.org/licenses/LICENSE-2.0", "security", "basic",
	    "bearer", "paths", paths(), "components", components());
}

/* Anybody may ask, so the document is made but once. */
static const char *
text_of(struct httpd *httpd)
{
	json_t *document;

	if (httpd->openapi == NULL) {
		document = openapi_document();
		httpd->openapi = document == NULL
		    ? NULL
		    : json_dumps(document, JSON_COMPACT);
		json_decref(document);
	}
	return httpd->openapi;
}

void
openapi_run(struct httpd *httpd, struct request *request, struct slice body)
{
	struct response response = { .status = 200 };
	const char *text = text_of(httpd);

	(void)body;
	if (text == NULL) {
		request_answer_error(request, 503, 503, 1, NULL,
		    "weir-httpd has no memory left");
		return;
	}
	response.body = slice_of_string(text);
	request_answer(request, &response);
}
