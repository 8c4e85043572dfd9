/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The numbers of bridges, for who may know no more: nothing but names, states
 * and counts, so neither addresses nor what a remote said.
 */

#include "broker/links_private.h"
#include "broker/links_status.h"
#include "broker/manage.h"

/* Numbers and truths, also those of groups within. */
static json_t *
numbers_of(json_t *object)
{
	json_t *numbers = json_object(), *value;
	const char *key;

	json_object_foreach(object, key, value)
	{
		if (json_is_integer(value) || json_is_boolean(value))
			json_object_set(numbers, key, value);
		else if (json_is_object(value))
			json_object_set_new(numbers, key, numbers_of(value));
	}
	return numbers;
}

static json_t *
bridge_numbers(const struct links_endpoint *endpoint)
{
	json_t *status = links_status_bridge(endpoint);
	json_t *numbers = numbers_of(status);

	json_object_set(numbers, "name", json_object_get(status, "name"));
	json_object_set(numbers, "state", json_object_get(status, "state"));
	json_object_del(numbers, "pid");
	json_decref(status);
	return numbers;
}

void
manage_bridge_numbers(struct manage_ask *ask, const json_t *question)
{
	const struct links *links = ask->links;
	json_t *bridges = json_array();

	(void)question;
	for (uint32_t i = 1; i < links->endpoint_count; i++)
		if (links->endpoints[i] != NULL)
			json_array_append_new(
			    bridges, bridge_numbers(links->endpoints[i]));
	manage_answer(ask,
	    json_pack("{s:I, s:o}", "count",
		(json_int_t)json_array_size(bridges), "bridges", bridges));
}
