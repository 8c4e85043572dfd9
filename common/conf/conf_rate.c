/* SPDX-License-Identifier: Apache-2.0 */

/* What takes more than one key of a rate to judge. */

#include <stdio.h>

#include "common/conf/conf_table.h"

/* A burst that is not given is what comes in one second. */
static void
check_burst(struct conf_reader *reader, config_setting_t *at, const char *unit,
    uint64_t per_second, uint64_t *burst)
{
	char key[32];

	if (*burst == 0)
		*burst = per_second;
	if (per_second != 0 || *burst == 0)
		return;
	snprintf(key, sizeof(key), "%sburst", unit);
	conf_mistake(reader, conf_at_key(at, key),
	    "%s without %sper_second; give both, or neither for no limit", key,
	    unit);
}

void
conf_check_rate(
    struct conf_reader *reader, config_setting_t *at, struct conf_rate *rate)
{
	check_burst(reader, at, "", rate->per_second, &rate->burst);
	check_burst(reader, at, "requests_", rate->requests_per_second,
	    &rate->requests_burst);
	check_burst(reader, at, "bytes_", rate->bytes_per_second,
	    &rate->bytes_burst);
}

void
conf_check_rate_filter(struct conf_reader *reader, config_setting_t *at,
    struct conf_rate_filter *limit)
{
	if (at != NULL)
		limit->line = config_setting_source_line(at);
	conf_check_name(reader, at, limit->name);
	conf_check_filter(reader, at, limit->filter);
	conf_check_rate(reader, at, &limit->rate);
	if (limit->rate.per_second == 0 &&
	    limit->rate.requests_per_second == 0 &&
	    limit->rate.bytes_per_second == 0)
		conf_mistake(reader, at,
		    "a limit of http.rate_per_filter limits nothing; give "
		    "per_second, requests_per_second or bytes_per_second");
}
