/* SPDX-License-Identifier: Apache-2.0 */

#include "httpd/publish_fast.h"

#include <string.h>

#include "common/base/utf8.h"
#include "common/msg/topic.h"

/* Members that have been read. */
enum member {
	NO_MEMBER = 0,
	TOPIC = 1,
	PAYLOAD = 2,
	QOS = 4,
	RETAIN = 8,
	CLIENTID = 16,
	ENCODING = 32 /* by either name: both is a mistake */
};

struct cursor {
	const uint8_t *at, *end;
};

static void
skip_blanks(struct cursor *c)
{
	while (c->at < c->end &&
	    (*c->at == ' ' || *c->at == '\t' || *c->at == '\n' ||
		*c->at == '\r'))
		c->at++;
}

/* The next byte that is no blank is this one; go behind it. */
static bool
take(struct cursor *c, uint8_t wanted)
{
	skip_blanks(c);
	if (c->at == c->end || *c->at != wanted)
		return false;
	c->at++;
	return true;
}

/* A string in which each byte stands for itself. */
static bool
take_string(struct cursor *c, struct slice *out)
{
	const uint8_t *begin;
	uint8_t all = 0;

	if (!take(c, '"'))
		return false;
	for (begin = c->at; c->at < c->end && *c->at != '"'; c->at++) {
		if (*c->at < 0x20 || *c->at == '\\')
			return false;
		all |= *c->at;
	}
	if (c->at == c->end)
		return false;
	*out = slice_of(begin, (size_t)(c->at - begin));
	c->at++;
	return all < 0x80 || utf8_is_valid(*out);
}

static bool
take_word(struct cursor *c, const char *word)
{
	size_t length = strlen(word);

	skip_blanks(c);
	if ((size_t)(c->end - c->at) < length ||
	    memcmp(c->at, word, length) != 0)
		return false;
	c->at += length;
	return true;
}

/* Whatever follows the digit is seen by the caller. */
static bool
take_qos(struct cursor *c, uint8_t *out)
{
	skip_blanks(c);
	if (c->at == c->end || *c->at < '0' || *c->at > '2')
		return false;
	*out = (uint8_t)(*c->at++ - '0');
	return true;
}

static bool
take_retain(struct cursor *c, struct record_message *message)
{
	message->retain = take_word(c, "true");
	return message->retain || take_word(c, "false");
}

static enum member
member_of(struct slice name)
{
	static const struct {
		const char *name;
		enum member member;
	} members[] = {
		{ "topic", TOPIC },
		{ "payload", PAYLOAD },
		{ "qos", QOS },
		{ "retain", RETAIN },
		{ "clientid", CLIENTID },
		{ "encoding", ENCODING },
		{ "payload_encoding", ENCODING },
	};

	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		if (slice_equal_string(name, members[i].name))
			return members[i].member;
	return NO_MEMBER;
}

static bool
take_value(struct cursor *c, enum member member, struct record_message *message)
{
	struct slice text;

	switch (member) {
	case NO_MEMBER:
		return false;
	case TOPIC:
		return take_string(c, &message->topic);
	case PAYLOAD:
		return take_string(c, &message->payload);
	case QOS:
		return take_qos(c, &message->qos);
	case RETAIN:
		return take_retain(c, message);
	case CLIENTID:
		return take_string(c, &text);
	case ENCODING:
		return take_string(c, &text) &&
		    slice_equal_string(text, "plain");
	}
	return false;
}

/* The members up to the closing brace; returns those there were, or 0. */
static unsigned
take_members(struct cursor *c, struct record_message *message)
{
	unsigned seen = 0;
	enum member member;
	struct slice name;

	do {
		if (!take_string(c, &name) || !take(c, ':'))
			return 0;
		member = member_of(name);
		if ((seen & member) != 0 || !take_value(c, member, message))
			return 0;
		seen |= member;
	} while (take(c, ','));
	return take(c, '}') ? seen : 0;
}

bool
publish_fast_read(struct slice body, struct publish_entry *out_entry)
{
	struct record_message *message = &out_entry->message;
	struct cursor cursor = { body.data, body.data + body.len };
	unsigned seen;

	memset(message, 0, sizeof(*message));
	message->expiry_s = RECORD_NEVER_EXPIRES;
	if (!take(&cursor, '{'))
		return false;
	seen = take_members(&cursor, message);
	skip_blanks(&cursor);
	if ((seen & (TOPIC | PAYLOAD)) != (TOPIC | PAYLOAD) ||
	    cursor.at != cursor.end)
		return false;
	if (message->topic.len == 0 || message->topic.len > TOPIC_MAX_BYTES ||
	    !topic_name_is_valid(message->topic))
		return false;
	out_entry->topics[0] = message->topic;
	out_entry->topic_count = 1;
	return true;
}
