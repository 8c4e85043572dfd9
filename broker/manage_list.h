/* SPDX-License-Identifier: Apache-2.0 */

/*
 * manage_list - a page of a list as text that grows.
 *
 *	manage_list_init(&list, &page, "clients");
 *	... for each entry, in order, while manage_list_wants(&list)
 *		manage_list_add(&list, json_object);
 *	... and manage_list_pass(&list, n) for those that are only counted
 *	manage_list_answer(&list, ask);
 *
 * {"status":200,"count":N,"page":P,"limit":L,NAME:[...]}; count is of all that
 * were there, on this page or not.  One thread at a time.
 */

#ifndef WEIR_BROKER_MANAGE_LIST_H
#define WEIR_BROKER_MANAGE_LIST_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/manage.h"

/* Its fields are private. */
struct manage_list {
	struct manage_page page;
	const char *name;
	uint64_t count; /* seen so far */
	char *text;
	size_t length;
	size_t size;
	bool has_failed; /* no memory */
	bool is_too_long;
};

void manage_list_init(
    struct manage_list *list, const struct manage_page *page, const char *name);
void manage_list_fini(struct manage_list *list);

/* Is the next entry on the page? */
bool manage_list_wants(const struct manage_list *list);

/* The page is complete: all others are only counted. */
bool manage_list_is_full(const struct manage_list *list);

/* The next entry, on the page; takes it.  NULL: no memory. */
void manage_list_add(struct manage_list *list, json_t *entry);

/* So many entries that are not on the page. */
void manage_list_pass(struct manage_list *list, uint64_t count);

/* Answer the ask with it, or why that cannot be; and manage_list_fini(). */
void manage_list_answer(struct manage_list *list, struct manage_ask *ask);

#endif
