/* SPDX-License-Identifier: Apache-2.0 */

/*
 * record - what travels on the rings: the kinds of records and their bodies.
 *
 * A ring (common/ring) carries headers and bytes; here is what the bytes
 * mean.  httpd knows no MQTT packets, so a message has a layout of its own:
 *
 *	 0    1    2     3    4              6              8
 *	+----+----+-----+----+--------------+--------------+
 *	| v  |qos |flags| 0  | topic_length | 0            |
 *	+----+----+-----+----+--------------+--------------+
 *	| properties_length  | payload_length              | 16
 *	+--------------------+-----------------------------+
 *	| expiry_s           | reserved                    | 24
 *	+--------------------+-----------------------------+
 *	| topic | properties | payload |                     24...
 *
 * properties are MQTT 5.0 properties in wire form (MQTT 5.0, 2.2.2) without
 * the length in front, and never Topic Alias, Subscription Identifier or
 * Message Expiry Interval (that is expiry_s): they can be put into a PUBLISH
 * as they are.  Build them with record_properties_*().
 *
 * A reader treats the body as hostile: record_message_parse() checks every
 * length; the contents (UTF-8, property types) are checked by whoever uses
 * them, as network input.  Numbers are in host byte order.
 */

#ifndef WEIR_COMMON_MSG_RECORD_H
#define WEIR_COMMON_MSG_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"

enum record_kind {
	RECORD_MESSAGE = 1,     /* to the broker, and on to a bridge */
	RECORD_RECEIPT = 2,     /* broker -> httpd, answers a MESSAGE */
	RECORD_AUTH = 3,        /* httpd -> broker: credentials */
	RECORD_AUTH_RESULT = 4, /* broker -> httpd, answers an AUTH */
	RECORD_ASK = 5,         /* httpd -> broker: a question, see ask.h */
	RECORD_ASK_RESULT = 6,  /* broker -> httpd: a piece of its answer */
	RECORD_DEAD = 7, /* bridge -> broker: never taken by the remote */
};

#define RECORD_VERSION 1
#define RECORD_FLAG_RETAIN 0x01u
#define RECORD_NEVER_EXPIRES UINT32_C(0xffffffff)

/* Start of a MESSAGE body. */
struct record_message_header {
	uint8_t version; /* RECORD_VERSION */
	uint8_t qos;     /* 0..2, of the publisher */
	uint8_t flags;   /* RECORD_FLAG_* */
	uint8_t reserved0;
	uint16_t topic_length;
	uint16_t reserved1;
	uint32_t properties_length;
	uint32_t payload_length;
	uint32_t expiry_s; /* left at the record's time_ns, or NEVER_EXPIRES */
	uint32_t reserved2;
};

_Static_assert(sizeof(struct record_message_header) == 24, "message header");

/* A message taken apart; the slices point into the body. */
struct record_message {
	uint8_t qos;
	bool retain;
	uint32_t expiry_s;
	struct slice topic;
	struct slice properties;
	struct slice payload;
};

/* What a refusal is about, beside its code. */
enum record_detail {
	RECORD_DETAIL_NONE,
	/* 0x87, Not authorized */
	RECORD_DETAIL_SCOPE, /* the account has not the scope publish */
	RECORD_DETAIL_TOPIC, /* none of its filters matches the topic */
	/* 0x86, of a token */
	RECORD_TOKEN_UNKNOWN,   /* no tokens are taken here */
	RECORD_TOKEN_MALFORMED, /* it is none */
	RECORD_TOKEN_CRITICAL,  /* it wants an extension to be understood */
	RECORD_TOKEN_ALGORITHM, /* its alg is not taken */
	RECORD_TOKEN_SIGNATURE, /* no key made it */
	RECORD_TOKEN_NO_END,    /* it has no exp */
	RECORD_TOKEN_EXPIRED,
	RECORD_TOKEN_NOT_YET,
	RECORD_TOKEN_ISSUER,
	RECORD_TOKEN_AUDIENCE,
	RECORD_TOKEN_ACCOUNT /* it names none that there is */
};

/*
 * Body of a RECEIPT.  The record's correlation is that of the record it
 * answers.  Codes are MQTT 5.0 reason codes.
 */
struct record_answer {
	uint8_t code; /* 0x00; 0x10 nobody wanted it; >= 0x80 refused */
	uint8_t reserved[3];
	union {
		uint32_t receivers; /* below 0x80: it went to so many */
		uint32_t detail;    /* else: enum record_detail */
	};
	uint64_t reserved1;
};

_Static_assert(sizeof(struct record_answer) == 16, "answer");

#define RECORD_NAME_SIZE 32u

/* Body of an AUTH_RESULT, answers an AUTH as a RECEIPT does a MESSAGE. */
struct record_auth_result {
	uint8_t code;   /* 0x00, or >= 0x80: refused */
	uint8_t detail; /* enum record_detail */
	uint16_t reserved0;
	uint32_t valid_ms; /* how long the handle may be kept; 0: any time */
	uint64_t identity; /* the handle for records to come */
	uint64_t account;  /* the same number for all handles of an account */
	uint64_t reserved1;
	char name[RECORD_NAME_SIZE]; /* the account's, cut short, with a NUL */
};

_Static_assert(sizeof(struct record_auth_result) == 64, "auth result");

enum record_auth_kind {
	RECORD_AUTH_BASIC = 0, /* a name and a password */
	RECORD_AUTH_BEARER = 1 /* a token in the place of the password */
};

#define RECORD_TOKEN_MAX 8192u /* bytes of a token */

/* Start of an AUTH body; user name, password and address text follow. */
struct record_auth_header {
	uint8_t version; /* RECORD_VERSION */
	uint8_t kind;    /* enum record_auth_kind */
	uint16_t user_length;
	uint16_t password_length;
	uint16_t address_length; /* of the client, for the log: "10.0.0.9" */
};

struct record_auth {
	enum record_auth_kind kind;
	struct slice user;
	struct slice password;
	struct slice address;
};

/*
 * Start of a DEAD body: a message of the lane to the bridge that the remote
 * will never take.  Why, in words, and the message's own body follow.
 */
struct record_dead_header {
	uint8_t version; /* RECORD_VERSION */
	uint8_t reserved;
	uint16_t why_length;
	uint32_t attempts; /* how often it was sent */
	uint64_t sequence; /* of its record in that lane */
	uint64_t journal;  /* that record's correlation */
	uint64_t wall_ns;  /* CLOCK_REALTIME: when this was found out */
};

_Static_assert(sizeof(struct record_dead_header) == 32, "dead header");

/* Longest reason, in bytes; a longer one is cut. */
#define RECORD_WHY_MAX 255u

struct record_dead {
	uint32_t attempts;
	uint64_t sequence, journal, wall_ns;
	struct slice why;
	struct slice message; /* a MESSAGE body */
};

/* Bytes of a MESSAGE body. */
size_t record_message_size(const struct record_message *message);

/*
 * Write a MESSAGE body of record_message_size() bytes.
 * BUG if the topic is longer than 65,535 bytes.
 */
void record_message_write(const struct record_message *message, void *out);

/*
 * Take a body apart.  Returns 0, or -EBADMSG when version, qos or lengths
 * are wrong (trailing bytes too); *out_message is then untouched.
 */
int record_message_parse(
    const void *body, size_t length, struct record_message *out_message);

/*
 * As record_message_parse(), when only the first `have` of `length` bytes are
 * there.  The topic must be; of properties and payload, where one is not, the
 * slice has its length and no data.
 */
int record_message_peek(const void *body, size_t have, size_t length,
    struct record_message *out_message);

/*
 * The part of a body before the payload, for writers that put the payload
 * into the ring themselves.
 */
size_t record_message_prefix(
    const struct record_message *message, void *out, size_t capacity);

size_t record_auth_size(const struct record_auth *auth);
void record_auth_write(const struct record_auth *auth, void *out);
int record_auth_parse(
    const void *body, size_t length, struct record_auth *out_auth);

/* `message` is not looked at.  As the functions for AUTH. */
size_t record_dead_size(const struct record_dead *dead);
void record_dead_write(const struct record_dead *dead, void *out);
int record_dead_parse(
    const void *body, size_t length, struct record_dead *out_dead);

/* 0 and a copy, or -EBADMSG. */
int record_answer_parse(
    const void *body, size_t length, struct record_answer *out_answer);
int record_auth_result_parse(
    const void *body, size_t length, struct record_auth_result *out_result);

/*
 * Builder of properties in wire form, into the caller's buffer; `failed`
 * sticks when it is too small or a string too long (65,535 bytes).
 */
struct record_properties {
	uint8_t *bytes;
	size_t length;
	size_t capacity;
	bool failed;
};

void record_properties_init(
    struct record_properties *properties, void *buffer, size_t capacity);
void record_properties_payload_format(
    struct record_properties *properties, uint8_t utf8);
void record_properties_content_type(
    struct record_properties *properties, struct slice value);
void record_properties_response_topic(
    struct record_properties *properties, struct slice value);
void record_properties_correlation_data(
    struct record_properties *properties, struct slice value);
void record_properties_user(struct record_properties *properties,
    struct slice name, struct slice value);

/*
 * Correlation of a request: the attach it was made in and a number of its
 * own, so that answers to a former life are told apart.
 */
#define RECORD_CORRELATION_ID_MASK ((UINT64_C(1) << 40) - 1)

static inline uint64_t
record_correlation(uint64_t epoch, uint64_t id)
{
	return (epoch << 40) | (id & RECORD_CORRELATION_ID_MASK);
}

#endif
