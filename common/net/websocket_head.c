/* SPDX-License-Identifier: Apache-2.0 */

#include "common/net/websocket_head.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* "dGhlIHNhbXBsZSBub25jZQ==": 16 bytes in base64. */
#define KEY_LENGTH (WEBSOCKET_KEY_SIZE - 1)

static const char *const field_names[WEBSOCKET_FIELDS] = {
	[WEBSOCKET_FIELD_HOST] = "Host",
	[WEBSOCKET_FIELD_UPGRADE] = "Upgrade",
	[WEBSOCKET_FIELD_CONNECTION] = "Connection",
	[WEBSOCKET_FIELD_KEY] = "Sec-WebSocket-Key",
	[WEBSOCKET_FIELD_VERSION] = "Sec-WebSocket-Version",
	[WEBSOCKET_FIELD_PROTOCOL] = "Sec-WebSocket-Protocol",
	[WEBSOCKET_FIELD_ORIGIN] = "Origin",
};

static int
refuse(struct websocket_head *head, unsigned status, const char *why)
{
	if (head->status == 0) {
		head->status = status;
		head->why = why;
		head->is_complete = false;
	}
	return -1;
}

/* ---- values, when they are whole -------------------------------------- */

/* 16 bytes in base64: 22 digits, the last of which has 4 bits to spare. */
static bool
is_key(const char *value)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz0123456789+/";

	return strlen(value) == KEY_LENGTH && strspn(value, digits) == 22 &&
	    strchr("AQgw", value[21]) != NULL && strcmp(value + 22, "==") == 0;
}

static int
take_value(struct websocket_head *head)
{
	const char *value = head->value;

	head->seen[head->field]++;
	switch (head->field) {
	case WEBSOCKET_FIELD_UPGRADE:
		head->has_upgrade |=
		    websocket_has_word(value, "websocket", true);
		break;
	case WEBSOCKET_FIELD_CONNECTION:
		head->has_connection |=
		    websocket_has_word(value, "Upgrade", true);
		break;
	case WEBSOCKET_FIELD_KEY:
		if (!is_key(value))
			return refuse(head, 400,
			    "Sec-WebSocket-Key is not 16 bytes in base64");
		memcpy(head->key, value, WEBSOCKET_KEY_SIZE);
		break;
	case WEBSOCKET_FIELD_VERSION:
		head->is_version_13 = strcmp(value, "13") == 0;
		break;
	case WEBSOCKET_FIELD_PROTOCOL:
		head->has_mqtt |= websocket_has_word(value, "mqtt", false);
		head->has_mqttv3_1 |=
		    websocket_has_word(value, "mqttv3.1", false);
		break;
	case WEBSOCKET_FIELD_ORIGIN:
		strcpy(head->origin, value);
		break;
	case WEBSOCKET_FIELD_HOST:
	case WEBSOCKET_FIELDS:
		break;
	}
	return 0;
}

static int
end_value(struct websocket_head *head)
{
	size_t len = head->value_len;

	if (!head->in_value)
		return 0;
	head->in_value = false;
	head->name_len = 0;
	if (head->field == WEBSOCKET_FIELDS)
		return 0;
	while (len > 0 &&
	    (head->value[len - 1] == ' ' || head->value[len - 1] == '\t'))
		len--;
	head->value[len] = '\0';
	return take_value(head);
}

/* ---- the parser's callbacks ------------------------------------------- */

static int
on_url(struct http_parser *parser, const char *at, size_t len)
{
	struct websocket_head *head = parser->data;
	size_t room = sizeof(head->path) - 1 - head->path_len;
	const char *query = memchr(at, '?', len);

	if (head->has_query)
		return 0;
	if (query != NULL) {
		head->has_query = true;
		len = (size_t)(query - at);
	}
	/* Cut here it is as long as no path that it could be. */
	len = len > room ? room : len;
	memcpy(head->path + head->path_len, at, len);
	head->path_len += len;
	return 0;
}

static enum websocket_field
find_field(const struct websocket_head *head)
{
	unsigned i;

	for (i = 0; i < WEBSOCKET_FIELDS; i++)
		if (strlen(field_names[i]) == head->name_len &&
		    strncasecmp(head->name, field_names[i], head->name_len) ==
			0)
			break;
	return (enum websocket_field)i;
}

static int
on_field(struct http_parser *parser, const char *at, size_t len)
{
	struct websocket_head *head = parser->data;
	size_t room;

	if (end_value(head) != 0)
		return -1;
	if (memchr(at, ' ', len) != NULL)
		return refuse(head, 400, "a blank in the name of a field");
	room = sizeof(head->name) - head->name_len;
	len = len > room ? room : len;
	memcpy(head->name + head->name_len, at, len);
	head->name_len += len;
	return 0;
}

static int
on_value(struct http_parser *parser, const char *at, size_t len)
{
	struct websocket_head *head = parser->data;

	if (!head->in_value) {
		head->in_value = true;
		head->value_len = 0;
		head->field = find_field(head);
	}
	if (head->field == WEBSOCKET_FIELDS)
		return 0;
	if (len > sizeof(head->value) - 1 - head->value_len)
		return refuse(head, 431, "a field of the request is too long");
	memcpy(head->value + head->value_len, at, len);
	head->value_len += len;
	return 0;
}

static int
on_complete(struct http_parser *parser)
{
	struct websocket_head *head = parser->data;

	if (end_value(head) != 0)
		return -1;
	if (parser->uses_transfer_encoding ||
	    (parser->content_length != 0 &&
		parser->content_length != UINT64_MAX))
		return refuse(head, 400, "the request has a body");
	head->is_complete = true;
	/* What follows is no HTTP any more. */
	return 2;
}

static const struct http_parser_settings settings = {
	.on_url = on_url,
	.on_header_field = on_field,
	.on_header_value = on_value,
	.on_headers_complete = on_complete,
};

/* ---- reading ----------------------------------------------------------- */

void
websocket_head_init(struct websocket_head *head)
{
	memset(head, 0, sizeof(*head));
	http_parser_init(&head->parser, HTTP_REQUEST);
	head->parser.data = head;
}

/* The parser joins folded lines; others in front of us may not. */
static bool
has_fold(struct websocket_head *head, const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (head->has_line_end && (bytes[i] == ' ' || bytes[i] == '\t'))
			return true;
		head->has_line_end = bytes[i] == '\n';
	}
	return false;
}

static const char *
parser_fault(const struct websocket_head *head, size_t used)
{
	if (head->len + used == 0)
		return "this is no HTTP: plain MQTT or TLS at a WebSocket "
		       "listener?";
	return http_errno_description(HTTP_PARSER_ERRNO(&head->parser));
}

size_t
websocket_head_read(
    struct websocket_head *head, const uint8_t *bytes, size_t len)
{
	size_t used;

	if (head->is_complete || head->status != 0 || len == 0)
		return 0;
	if (len > WEBSOCKET_HEAD_LIMIT - head->len)
		len = WEBSOCKET_HEAD_LIMIT - head->len;
	used = http_parser_execute(
	    &head->parser, &settings, (const char *)bytes, len);
	/* The parser takes any byte for the last one. */
	if (head->is_complete && used > 0 && bytes[used - 1] != '\n')
		refuse(head, 400, "the request does not end in an empty line");
	if (has_fold(head, bytes, used))
		refuse(head, 400, "a line of the request is folded");
	if (!head->is_complete && head->status == 0 &&
	    HTTP_PARSER_ERRNO(&head->parser) != HPE_OK)
		refuse(head, 400, parser_fault(head, used));
	head->len += used;
	if (!head->is_complete && head->len == WEBSOCKET_HEAD_LIMIT)
		refuse(head, 431, "the head of the request is above 8 KiB");
	return used;
}

/* ---- judging ----------------------------------------------------------- */

static bool
is_allowed_origin(
    const struct websocket_head *head, const struct websocket_rules *rules)
{
	/* Programs that are no browsers need not name one. */
	if (rules->origin_count == 0 || head->seen[WEBSOCKET_FIELD_ORIGIN] == 0)
		return true;
	if (head->seen[WEBSOCKET_FIELD_ORIGIN] > 1)
		return false;
	for (size_t i = 0; i < rules->origin_count; i++)
		if (strcasecmp(head->origin, rules->origins[i]) == 0)
			return true;
	return false;
}

/* What every request must be, whoever makes it. */
static unsigned
judge_request(const struct websocket_head *head,
    const struct websocket_rules *rules, const char **out_why)
{
	if (head->parser.method != HTTP_GET) {
		*out_why = "the method must be GET";
		return 405;
	}
	if (head->path_len != strlen(rules->path) ||
	    memcmp(head->path, rules->path, head->path_len) != 0) {
		*out_why = "there is nothing at this path; see the "
			   "listener's key websocket";
		return 404;
	}
	if (head->parser.http_major != 1 || head->parser.http_minor < 1) {
		*out_why = "it must be HTTP/1.1";
		return 400;
	}
	if (head->seen[WEBSOCKET_FIELD_HOST] != 1) {
		*out_why = "there must be one field Host";
		return 400;
	}
	return 101;
}

/* What makes it one of WebSocket and MQTT. */
static unsigned
judge_upgrade(const struct websocket_head *head, const char **out_why)
{
	if (!head->has_upgrade || !head->has_connection) {
		*out_why = "this is for MQTT over WebSocket: the request must "
			   "upgrade to websocket";
		return 426;
	}
	if (head->seen[WEBSOCKET_FIELD_VERSION] != 1 || !head->is_version_13) {
		*out_why = "Sec-WebSocket-Version must be 13";
		return 426;
	}
	if (head->seen[WEBSOCKET_FIELD_KEY] != 1) {
		*out_why = "there must be one field Sec-WebSocket-Key";
		return 400;
	}
	/* [MQTT-6.0.0-3] */
	if (!head->has_mqtt && !head->has_mqttv3_1) {
		*out_why = "Sec-WebSocket-Protocol must offer mqtt";
		return 400;
	}
	return 101;
}

unsigned
websocket_head_judge(const struct websocket_head *head,
    const struct websocket_rules *rules, const char **out_why)
{
	unsigned status;

	if (head->status != 0) {
		*out_why = head->why;
		return head->status;
	}
	status = judge_request(head, rules, out_why);
	if (status == 101)
		status = judge_upgrade(head, out_why);
	if (status == 101 && !is_allowed_origin(head, rules)) {
		*out_why = "this Origin is not among websocket_origins";
		return 403;
	}
	return status;
}

/* ---- answering --------------------------------------------------------- */

static const char *
reason_of(unsigned status)
{
	switch (status) {
	case 403:
		return "Forbidden";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 426:
		return "Upgrade Required";
	case 431:
		return "Request Header Fields Too Large";
	default:
		return "Bad Request";
	}
}

/* Fields that a status wants. */
static const char *
fields_of(unsigned status)
{
	switch (status) {
	case 405:
		return "Allow: GET\r\n";
	case 426:
		return "Upgrade: websocket\r\n"
		       "Sec-WebSocket-Version: 13\r\n";
	default:
		return "";
	}
}

size_t
websocket_head_answer(const struct websocket_head *head, unsigned status,
    const char *why, char out[WEBSOCKET_ANSWER_SIZE])
{
	char accept[WEBSOCKET_ACCEPT_SIZE];

	if (status != 101)
		return (size_t)snprintf(out, WEBSOCKET_ANSWER_SIZE,
		    "HTTP/1.1 %u %s\r\n"
		    "Connection: %sclose\r\n"
		    "%s"
		    "Content-Type: text/plain; charset=utf-8\r\n"
		    "Content-Length: %zu\r\n"
		    "\r\n"
		    "%s\n",
		    status, reason_of(status), status == 426 ? "Upgrade, " : "",
		    fields_of(status), strlen(why) + 1, why);
	websocket_accept_key(head->key, accept);
	/* [MQTT-6.0.0-4] the name that was chosen */
	return (size_t)snprintf(out, WEBSOCKET_ANSWER_SIZE,
	    "HTTP/1.1 101 Switching Protocols\r\n"
	    "Upgrade: websocket\r\n"
	    "Connection: Upgrade\r\n"
	    "Sec-WebSocket-Accept: %s\r\n"
	    "Sec-WebSocket-Protocol: %s\r\n"
	    "\r\n",
	    accept, head->has_mqtt ? "mqtt" : "mqttv3.1");
}
