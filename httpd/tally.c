/* SPDX-License-Identifier: Apache-2.0 */

#include "httpd/tally.h"

#include <string.h>

/* Relaxed, all of it: counters with one writer. */
static uint64_t
read_term(const _Atomic uint64_t *term)
{
	return atomic_load_explicit(term, memory_order_relaxed);
}

static void
add(_Atomic uint64_t *term, uint64_t n)
{
	atomic_store_explicit(term, read_term(term) + n, memory_order_relaxed);
}

static bool
has_name(const struct offers_row *row, const char *name, size_t length)
{
	return memcmp(row->name, name, length) == 0 &&
	    row->name[length] == '\0';
}

/* The row of a bridge, made if need be; NULL: there are too many. */
static struct offers_row *
row_of(struct offers *offers, const char *name, size_t length)
{
	struct offers_row *row;

	if (length == 0 || length >= OFFERS_NAME_SIZE)
		return NULL;
	for (row = offers->rows; row < offers->rows + OFFERS_ROWS; row++) {
		if (has_name(row, name, length))
			return row;
		if (row->name[0] != '\0')
			continue;
		memcpy(row->name, name, length);
		return row;
	}
	return NULL;
}

static void
count(struct offers_row *row, enum tally_term term)
{
	switch (term) {
	case TALLY_OFFERED:
		add(&row->offered, 1);
		break;
	case TALLY_ACCEPTED:
		add(&row->accepted, 1);
		break;
	case TALLY_REFUSED:
		add(&row->refused, 1);
		break;
	case TALLY_UNKNOWN:
		add(&row->unknown, 1);
		break;
	case TALLY_WITHDRAWN:
		add(&row->offered, UINT64_MAX); /* one less */
		break;
	}
}

void
tally_count(struct tally *tally, const char *set, enum tally_term term)
{
	struct offers *offers =
	    tally->shared != NULL ? tally->shared : &tally->own;
	struct offers_row *row;
	size_t length;

	if (set[0] == '*')
		return;
	for (; *set != '\0'; set += length + (set[length] == '+')) {
		length = strcspn(set, "+");
		row = row_of(offers, set, length);
		if (row != NULL)
			count(row, term);
	}
}

/* Whoever waited for an answer got none. */
static void
end_former_life(struct offers *offers)
{
	struct offers_row *row;
	uint64_t offered, answered;

	for (row = offers->rows; row < offers->rows + OFFERS_ROWS; row++) {
		row->name[OFFERS_NAME_SIZE - 1] = '\0';
		offered = read_term(&row->offered);
		answered = read_term(&row->accepted) +
		    read_term(&row->refused) + read_term(&row->unknown);
		if (offered > answered)
			add(&row->unknown, offered - answered);
	}
}

/* What was counted without a link. */
static void
move(struct offers *from, struct offers *to)
{
	const struct offers_row *row;
	struct offers_row *other;

	for (row = from->rows; row < from->rows + OFFERS_ROWS; row++) {
		other = row_of(to, row->name, strlen(row->name));
		if (other == NULL)
			continue;
		add(&other->offered, read_term(&row->offered));
		add(&other->accepted, read_term(&row->accepted));
		add(&other->refused, read_term(&row->refused));
		add(&other->unknown, read_term(&row->unknown));
	}
	memset(from, 0, sizeof(*from));
}

void
tally_attach(struct tally *tally, void *notes)
{
	struct offers *offers = notes;

	if (read_term(&offers->magic) != OFFERS_MAGIC) {
		memset(offers, 0, sizeof(*offers));
		/* Release: readers find rows behind it. */
		atomic_store_explicit(
		    &offers->magic, OFFERS_MAGIC, memory_order_release);
	} else if (!tally->was_attached) {
		end_former_life(offers);
	}
	tally->was_attached = true;
	move(&tally->own, offers);
	tally->shared = offers;
}

void
tally_detach(struct tally *tally)
{
	tally->shared = NULL;
}
