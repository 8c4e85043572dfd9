/* SPDX-License-Identifier: Apache-2.0 */

/* ingest_private - the messages on their way, for the two files of ingest. */

#ifndef WEIR_BRIDGED_INGEST_PRIVATE_H
#define WEIR_BRIDGED_INGEST_PRIVATE_H

#include "bridged/ingest.h"

/*
 *	WAITS --> WRITTEN --> ACCEPTED
 *	  |          \--> GIVEN --^	with a journal
 *	  \--> REFUSED
 */
enum item_state {
	ITEM_WAITS,    /* for its lane, or for room in it */
	ITEM_WRITTEN,  /* in the lane, not yet committed */
	ITEM_GIVEN,    /* committed; the broker has it not in its journal */
	ITEM_ACCEPTED, /* safe: to be acknowledged */
	ITEM_REFUSED   /* can never be given on: the same, with an error */
};

struct ingest_item {
	struct ingest_item *next;
	enum item_state state;
	uint16_t id;
	uint8_t qos;
	uint32_t lane;     /* once it is written, as what follows */
	size_t note;       /* where a QoS 2 message is noted */
	uint64_t position; /* behind it in the lane */
	uint64_t received_ns;
	size_t topic_len;
	size_t body_len;
	uint8_t body[]; /* of the record; the topic is in it */
};

/* Unlink and free *at; its successor takes the place. */
void ingest_drop_item(struct ingest *ingest, struct ingest_item **at);

/* ---- ingest_answers.c ---------------------------------------------------- */

/* It is committed to its lane. */
void ingest_item_committed(struct ingest *ingest, struct ingest_item *item);

/* Those GIVEN that the broker has released, or will never, are ACCEPTED. */
void ingest_take_released(struct ingest *ingest);

/* Has one been released, and nobody noticed? */
bool ingest_is_released(const struct ingest *ingest);

/*
 * Acknowledge the longest prefix of QoS 1 and 2 [MQTT-4.6.0-2]; what came at
 * QoS 0 owes nothing and is taken out wherever it stands.
 */
bool ingest_acknowledge(struct ingest *ingest);

#endif
