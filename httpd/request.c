/* SPDX-License-Identifier: Apache-2.0 */

#include "httpd/request.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const known[REQUEST_HEADERS_KNOWN] = {
	[REQUEST_HEADER_OTHER] = "",
	[REQUEST_HEADER_AUTHORIZATION] = "authorization",
	[REQUEST_HEADER_CONTENT_ENCODING] = "content-encoding",
	[REQUEST_HEADER_CONTENT_LENGTH] = "content-length",
	[REQUEST_HEADER_CONTENT_TYPE] = "content-type",
	[REQUEST_HEADER_EXPECT] = "expect",
	[REQUEST_HEADER_HOST] = "host",
	[REQUEST_HEADER_ORIGIN] = "origin",
	[REQUEST_HEADER_TRANSFER_ENCODING] = "transfer-encoding",
};

void
request_init(struct request *request)
{
	/* All but the large buffers, which are written before they are read. */
	memset(request, 0, offsetof(struct request, path_room));
	request->path = request->path_room;
	request->path_room[0] = '\0';
	request->query = request->path_room;
	request->content_type[0] = '\0';
	request->expect[0] = '\0';
	request->transfer_encoding[0] = '\0';
	request->content_encoding[0] = '\0';
	request->authorization = request->authorization_room;
	request->authorization_room[0] = '\0';
}

void
request_forget_authorization(struct request *request)
{
	explicit_bzero(request->authorization, request->authorization_length);
	if (request->authorization != request->authorization_room)
		free(request->authorization);
	request->authorization = request->authorization_room;
	request->authorization_length = 0;
}

void
request_fini(struct request *request)
{
	request_forget_authorization(request);
	if (request->path != request->path_room)
		free(request->path);
	request->path = request->query = request->path_room;
}

/* Bytes of target that fit, after a longer room was made if one is needed. */
static size_t
path_room(struct request *request, size_t wanted)
{
	char *longer;

	if (request->path != request->path_room)
		return REQUEST_TARGET_MAX - request->path_length;
	if (wanted < REQUEST_PATH_SIZE - request->path_length)
		return wanted;
	longer = malloc(REQUEST_TARGET_MAX + 1);
	if (longer == NULL) {
		request->too_long = true;
		return 0;
	}
	memcpy(longer, request->path, request->path_length);
	request->path = longer;
	return REQUEST_TARGET_MAX - request->path_length;
}

void
request_add_path(struct request *request, const char *at, size_t length)
{
	size_t room = path_room(request, length);

	request->target_length += length;
	if (length > room)
		length = room;
	memcpy(request->path + request->path_length, at, length);
	request->path_length += length;
	request->path[request->path_length] = '\0';
}

static void
begin_header(struct request *request)
{
	request->in_value = false;
	request->name_length = 0;
	request->header_count++;
}

void
request_add_name(struct request *request, const char *at, size_t length)
{
	size_t room;

	if (request->in_value || request->header_count == 0)
		begin_header(request);
	request->head_length += length;
	request->bad_name |= memchr(at, ' ', length) != NULL;

	/* A name that does not fit is none of those that we know. */
	room = sizeof(request->name) - request->name_length;
	if (length > room)
		length = room;
	memcpy(request->name + request->name_length, at, length);
	request->name_length += length;
}

static enum request_header
look_up(const struct request *request)
{
	for (int i = 1; i < REQUEST_HEADERS_KNOWN; i++)
		if (strlen(known[i]) == request->name_length &&
		    strncasecmp(
			known[i], request->name, request->name_length) == 0)
			return (enum request_header)i;
	return REQUEST_HEADER_OTHER;
}

static void
keep(struct request *request, char *value, size_t size, const char *at,
    size_t length)
{
	size_t used = strlen(value);

	if (length >= size - used) {
		request->too_long = true;
		return;
	}
	memcpy(value + used, at, length);
	value[used + length] = '\0';
}

/* Tokens may be long; few are. */
static bool
make_authorization_room(struct request *request, size_t wanted)
{
	char *longer;

	if (wanted < REQUEST_AUTHORIZATION_SIZE)
		return true;
	if (wanted > REQUEST_AUTHORIZATION_MAX)
		return false;
	if (request->authorization != request->authorization_room)
		return true;
	longer = malloc(REQUEST_AUTHORIZATION_MAX + 1);
	if (longer == NULL)
		return false;
	memcpy(longer, request->authorization, request->authorization_length);
	explicit_bzero(request->authorization, request->authorization_length);
	request->authorization = longer;
	return true;
}

static void
keep_authorization(struct request *request, const char *at, size_t length)
{
	const size_t used = request->authorization_length;

	if (length > REQUEST_AUTHORIZATION_MAX ||
	    !make_authorization_room(request, used + length)) {
		request->too_long = true;
		return;
	}
	memcpy(request->authorization + used, at, length);
	request->authorization_length = used + length;
}

void
request_add_value(struct request *request, const char *at, size_t length)
{
	if (!request->in_value) {
		request->in_value = true;
		request->header = look_up(request);
		if (request->seen[request->header] < UINT8_MAX)
			request->seen[request->header]++;
		request->head_length += 4; /* colon, blank, CR, LF */
	}
	request->head_length += length;

	switch (request->header) {
	case REQUEST_HEADER_AUTHORIZATION:
		keep_authorization(request, at, length);
		return;
	case REQUEST_HEADER_CONTENT_ENCODING:
		keep(request, request->content_encoding,
		    sizeof(request->content_encoding), at, length);
		return;
	case REQUEST_HEADER_CONTENT_TYPE:
		keep(request, request->content_type,
		    sizeof(request->content_type), at, length);
		return;
	case REQUEST_HEADER_EXPECT:
		keep(request, request->expect, sizeof(request->expect), at,
		    length);
		return;
	case REQUEST_HEADER_TRANSFER_ENCODING:
		keep(request, request->transfer_encoding,
		    sizeof(request->transfer_encoding), at, length);
		return;
	default:
		return;
	}
}

void
request_end_head(struct request *request)
{
	char *end = request->path + strcspn(request->path, "#");

	/* RFC 9112, 3.2: a target has no fragment; who sends one is lenient. */
	*end = '\0';
	request->path_length = strcspn(request->path, "?");
	request->query = request->path + request->path_length;
	if (*request->query == '?')
		*request->query++ = '\0';
}

unsigned
request_fault(const struct request *request, const char **out_text)
{
	if (request->target_length > REQUEST_TARGET_MAX) {
		*out_text = "the request target is longer than 2048 bytes";
		return 414;
	}
	/* RFC 9112, 5.1 and 5.2: others may have read these differently. */
	if (request->bad_name) {
		*out_text = "a header's name has a blank in it or behind it";
		return 400;
	}
	if (request->is_folded) {
		*out_text = "a header's value goes on in the next line";
		return 400;
	}
	if (request->head_length > REQUEST_HEAD_MAX ||
	    request->header_count > REQUEST_HEADERS_MAX || request->too_long) {
		*out_text = "at most 64 headers and 16 KiB of them are "
			    "allowed";
		return 431;
	}
	return 0;
}

static bool
repeats(const struct request *request, enum request_header header)
{
	return request->seen[header] > 1;
}

unsigned
request_head_fault(const struct request *request, const char **out_text)
{
	bool has_length = request->seen[REQUEST_HEADER_CONTENT_LENGTH] > 0;
	bool has_coding = request->seen[REQUEST_HEADER_TRANSFER_ENCODING] > 0;
	unsigned status;

	status = request_fault(request, out_text);
	if (status != 0)
		return status;

	/* RFC 9112, 6.3: a length that can be read two ways is an attack. */
	*out_text = "one of Content-Length and Transfer-Encoding, once";
	if (repeats(request, REQUEST_HEADER_CONTENT_LENGTH) ||
	    repeats(request, REQUEST_HEADER_TRANSFER_ENCODING) ||
	    (has_length && has_coding))
		return 400;
	*out_text = "Host, Authorization, Content-Type and Expect may be "
		    "given once";
	if (repeats(request, REQUEST_HEADER_HOST) ||
	    repeats(request, REQUEST_HEADER_AUTHORIZATION) ||
	    repeats(request, REQUEST_HEADER_CONTENT_TYPE) ||
	    repeats(request, REQUEST_HEADER_EXPECT))
		return 400;
	*out_text = "the Host header is missing";
	if (!request->is_http_1_0 && request->seen[REQUEST_HEADER_HOST] == 0)
		return 400;
	*out_text = "the only transfer coding here is chunked";
	if (has_coding &&
	    strcasecmp(request->transfer_encoding, "chunked") != 0)
		return 501;
	*out_text = "the only expectation here is 100-continue";
	if (request->expect[0] != '\0' &&
	    strcasecmp(request->expect, "100-continue") != 0)
		return 417;
	*out_text = NULL;
	return 0;
}

/* Is the media type, without its parameters, this one? */
static bool
type_is(const char *value, const char *type)
{
	size_t length = strcspn(value, "; \t");

	return length == strlen(type) && strncasecmp(value, type, length) == 0;
}

bool
request_is_json(const struct request *request)
{
	const char *type = request->content_type;

	if (request->content_encoding[0] != '\0' &&
	    strcasecmp(request->content_encoding, "identity") != 0)
		return false;
	if (type_is(type, "application/json"))
		return true;

	/*
	 * curl -d says it is a form, and so do many scripts.  A page of
	 * another origin can send that too, with the password its browser
	 * remembers; browsers tell the origin then.
	 */
	if (request->seen[REQUEST_HEADER_ORIGIN] > 0)
		return false;
	return type[0] == '\0' || type_is(type, "text/plain") ||
	    type_is(type, "application/x-www-form-urlencoded");
}

bool
request_expects_continue(const struct request *request)
{
	return request->expect[0] != '\0' && !request->is_http_1_0;
}
