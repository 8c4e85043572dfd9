/* SPDX-License-Identifier: Apache-2.0 */

#include "ctl/journal_json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/base64.h"

#define NEVER UINT64_MAX

json_t *
journal_json_number(uint64_t number)
{
	char text[24];

	if (number <= INT64_MAX)
		return json_integer((json_int_t)number);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
	return json_string(text);
}

/* ---- an object that is being made: NULL once something failed ------------ */

struct maker {
	json_t *object;
};

static struct maker
make(const char *kind)
{
	struct maker m = { json_object() };

	if (json_object_set_new(m.object, "kind", json_string(kind)) != 0) {
		json_decref(m.object);
		m.object = NULL;
	}
	return m;
}

static void
add(struct maker *m, const char *field, json_t *value)
{
	if (json_object_set_new(m->object, field, value) == 0)
		return;
	json_decref(m->object);
	m->object = NULL;
}

static void
add_number(struct maker *m, const char *field, uint64_t value, uint64_t absent)
{
	if (value != absent)
		add(m, field, journal_json_number(value));
}

static void
add_text(struct maker *m, const char *field, struct slice text)
{
	add(m, field,
	    json_stringn(
		text.len == 0 ? "" : (const char *)text.data, text.len));
}

static void
add_flag(struct maker *m, const char *field, bool value)
{
	if (value)
		add(m, field, json_true());
}

static void
add_base64(struct maker *m, const char *field, struct slice bytes)
{
	char *text;

	if (bytes.len == 0)
		return;
	text = malloc(BASE64_LENGTH(bytes.len) + 1);
	add(m, field,
	    text == NULL ? NULL : json_string(base64_encode(bytes, text)));
	free(text);
}

/* ---- records to objects -------------------------------------------------- */

static json_t *
of_start(struct slice body)
{
	struct maker m = make("start");
	struct store_start start;

	if (store_start_parse(body, &start) != 0) {
		json_decref(m.object);
		return NULL;
	}
	add_base64(
	    &m, "instance", slice_of(start.instance, sizeof(start.instance)));
	add_number(&m, "wall_ns", start.wall_ns, 0);
	return m.object;
}

static void
add_will(struct maker *m, const struct store_session *session)
{
	struct maker will = { json_object() };

	add_text(&will, "topic", session->will_topic);
	add_number(&will, "qos", session->will_qos, 0);
	add_flag(&will, "retain", session->will_retain);
	add_number(&will, "delay_ns", session->will_delay_ns, 0);
	add_number(&will, "expiry_ns", session->will_expiry_ns, NEVER);
	add_base64(&will, "properties_base64", session->will_properties);
	add_base64(&will, "payload_base64", session->will_payload);
	add(m, "will", will.object);
}

static json_t *
of_session(struct slice body)
{
	struct maker m = make("session");
	struct store_session session;

	if (store_session_parse(body, &session) != 0) {
		json_decref(m.object);
		return NULL;
	}
	add_number(&m, "cursor", session.cursor, 0);
	add_text(&m, "client_id", session.client_id);
	add_text(&m, "account", session.account);
	add_number(&m, "expiry_ns", session.expiry_ns, NEVER);
	add_number(&m, "left_ns", session.left_ns, 0);
	if (session.has_will)
		add_will(&m, &session);
	return m.object;
}

static json_t *
of_subscription(struct slice body)
{
	struct maker m = make("subscription");
	struct store_subscribe subscribe;

	if (store_subscribe_parse(body, &subscribe) != 0) {
		json_decref(m.object);
		return NULL;
	}
	add_number(&m, "cursor", subscribe.cursor, 0);
	add_text(&m, "filter", subscribe.filter);
	add_number(&m, "qos", subscribe.qos, 0);
	add_flag(&m, "no_local", subscribe.no_local);
	add_flag(&m, "retain_as_published", subscribe.retain_as_published);
	add_number(&m, "identifier", subscribe.identifier, 0);
	return m.object;
}

static json_t *
of_unfinished(struct slice body)
{
	struct maker m = make("unfinished");
	struct store_unfinished unfinished;
	json_t *ids;

	if (store_unfinished_parse(body, &unfinished) != 0) {
		json_decref(m.object);
		return NULL;
	}
	ids = json_array();
	for (size_t i = 0; i < unfinished.count; i++)
		json_array_append_new(ids, json_integer(unfinished.ids[i]));
	add_number(&m, "cursor", unfinished.cursor, 0);
	add(&m, "packet_ids", ids);
	return m.object;
}

static json_t *
of_received(struct slice body)
{
	struct maker m = make("received");
	struct store_packet packet;

	if (store_packet_parse(body, &packet) != 0) {
		json_decref(m.object);
		return NULL;
	}
	add_number(&m, "cursor", packet.cursor, 0);
	add_number(&m, "sequence", packet.sequence, 0);
	add_number(&m, "packet_id", packet.packet_id, 0);
	return m.object;
}

static json_t *
of_bridge(struct slice body)
{
	struct maker m = make("bridge");
	struct store_bridge bridge;

	if (store_bridge_parse(body, &bridge) != 0) {
		json_decref(m.object);
		return NULL;
	}
	add_number(&m, "cursor", bridge.cursor, 0);
	add_text(&m, "name", bridge.name);
#define TERM(name) add_number(&m, #name, bridge.terms.name, 0);
	STORE_BRIDGE_TERMS(TERM)
#undef TERM
	return m.object;
}

static json_t *
of_dead(struct slice body)
{
	struct maker m = make("dead");
	struct store_dead dead;

	if (store_dead_parse(body, &dead) != 0) {
		json_decref(m.object);
		return NULL;
	}
	add_number(&m, "cursor", dead.cursor, 0);
	add_number(&m, "id", dead.id, 0);
	add_number(&m, "attempts", dead.attempts, 0);
	add_number(&m, "memory", dead.memory, 0);
	add_number(&m, "ring_sequence", dead.sequence, 0);
	add_number(&m, "journal_sequence", dead.journal, 0);
	add_number(&m, "wall_ns", dead.wall_ns, 0);
	add_text(&m, "why", dead.why);
	add_base64(&m, "message", dead.message);
	return m.object;
}

static void
add_source(struct maker *m, const struct store_source *source)
{
	add_number(m, "link", source->link, UINT32_MAX);
	add_number(m, "lane", source->lane, 0);
	add_number(m, "lane_sequence", source->sequence, 0);
}

static json_t *
of_source(struct slice body)
{
	struct maker m = make("source");
	struct store_source source;

	if (store_source_parse(body, &source) != 0) {
		json_decref(m.object);
		return NULL;
	}
	add_source(&m, &source);
	return m.object;
}

static json_t *
receiver(const struct store_delivery *delivery)
{
	struct maker m = { json_object() };
	json_t *identifiers;

	add_number(&m, "cursor", delivery->cursor, 0);
	add_number(&m, "qos", delivery->qos, 0);
	add_number(&m, "flags", delivery->flags, 0);
	if (delivery->identifier_count == 0)
		return m.object;
	identifiers = json_array();
	for (unsigned i = 0; i < delivery->identifier_count; i++)
		json_array_append_new(
		    identifiers, json_integer(delivery->identifiers[i]));
	add(&m, "identifiers", identifiers);
	return m.object;
}

static void
add_message(struct maker *m, const struct store_message *message)
{
	add_text(m, "topic", message->topic);
	add_number(m, "qos", message->qos, 0);
	add_flag(m, "retain", message->retain);
	add_number(m, "retain_serial", message->retain_serial, 0);
	add_number(m, "publisher", message->publisher, 0);
	add_number(m, "packet_id", message->packet_id, 0);
	add_source(m, &message->source);
	add_number(m, "identity", message->identity, 0);
	add_number(m, "created_ns", message->created_ns, 0);
	add_number(m, "expires_ns", message->expires_ns, NEVER);
	add_base64(m, "properties_base64", message->properties);
	/* Also an empty one: weirctl replay wants to see it. */
	if (message->payload.len == 0)
		add(m, "payload_base64", json_string(""));
	else
		add_base64(m, "payload_base64", message->payload);
}

static json_t *
of_retained(struct slice body)
{
	struct store_message_room room = { NULL, 0, NULL, 0 };
	struct maker m = make("retained");
	struct store_message message;

	if (store_message_parse(body, &room, &message) != 0) {
		json_decref(m.object);
		return NULL;
	}
	add_message(&m, &message);
	return m.object;
}

json_t *
journal_json_of_message(uint64_t sequence, const struct store_message *message)
{
	struct maker m = make("message");
	json_t *receivers = json_array();

	add_number(&m, "sequence", sequence, 0);
	add_message(&m, message);
	for (size_t i = 0; i < message->delivery_count; i++)
		if (json_array_append_new(
			receivers, receiver(&message->deliveries[i])) != 0) {
			json_decref(receivers);
			receivers = NULL;
		}
	add(&m, "receivers", receivers);
	return m.object;
}

json_t *
journal_json_of_state(uint8_t kind, struct slice body)
{
	switch (kind) {
	case STORE_START:
		return of_start(body);
	case STORE_SESSION:
		return of_session(body);
	case STORE_SUBSCRIBE:
		return of_subscription(body);
	case STORE_UNFINISHED:
		return of_unfinished(body);
	case STORE_RECEIVED:
		return of_received(body);
	case STORE_RETAINED:
		return of_retained(body);
	case STORE_BRIDGE:
		return of_bridge(body);
	case STORE_DEAD:
		return of_dead(body);
	case STORE_SOURCE:
		return of_source(body);
	default:
		return NULL;
	}
}
