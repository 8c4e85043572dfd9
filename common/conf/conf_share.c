/* SPDX-License-Identifier: Apache-2.0 */

/* Shared subscriptions that are served in a way of their own. */

#include <string.h>

#include "common/conf/conf_table.h"

static const char prefix[] = "$share/";

void
conf_check_share(
    struct conf_reader *reader, config_setting_t *at, struct conf_share *share)
{
	/* [MQTT-4.8.2-1] [MQTT-4.8.2-2] */
	if (share->name != NULL && strpbrk(share->name, "/+#") != NULL)
		conf_mistake(reader, conf_at_key(at, "name"),
		    "name has \"%s\"; allowed: what is between $share/ and "
		    "the next /, without / + and #",
		    share->name);
	if (share->filter == NULL)
		return;
	if (strncmp(share->filter, prefix, sizeof(prefix) - 1) == 0)
		conf_mistake(reader, conf_at_key(at, "filter"),
		    "filter has \"%s\"; allowed: what is behind $share/NAME/",
		    share->filter);
	else
		conf_check_filter(reader, at, share->filter);
}
