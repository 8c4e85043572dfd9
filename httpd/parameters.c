/* SPDX-License-Identifier: Apache-2.0 */

#include "httpd/parameters.h"

static const struct parameter parameters[] = {
	{ "clientid", "client_id", 0, "Client identifier." },
	{ "username", "username", 0, "User name that a client gave." },
	{ "name", "name", 0, "Name of a bridge." },
	{ "id", "id", PARAMETER_ID_MAX, "Number of a dead letter." },
	{ "section", "section", 0, "Section of the configuration." },
	{ "limit", "limit", PARAMETER_LIMIT_MAX,
	    "Entries of one page; 100 if not said." },
	{ "page", "page", PARAMETER_PAGE_MAX,
	    "Which page; the first one is 1." },
};

const struct parameter *
parameter_find(struct slice name)
{
	if (name.len > 0 && name.data[0] == '_')
		name = slice_from(name, 1);
	for (size_t i = 0; i < sizeof(parameters) / sizeof(parameters[0]); i++)
		if (slice_equal_string(name, parameters[i].name))
			return &parameters[i];
	return NULL;
}
