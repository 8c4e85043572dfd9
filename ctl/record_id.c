/* SPDX-License-Identifier: Apache-2.0 */

#include "ctl/record_id.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/parse.h"

#define MQTT "mqtt"

const char *
record_id_write(const struct ring_trace_id *id, char *text)
{
	if (id->link == RING_TRACE_NO_LINK)
		snprintf(text, RECORD_ID_SIZE, MQTT ".%u.%" PRIu64, id->lane,
		    id->sequence);
	else
		snprintf(text, RECORD_ID_SIZE, "%" PRIu32 ".%u.%" PRIu64,
		    id->link, id->lane, id->sequence);
	return text;
}

/* The number up to the next point, or to the end. */
static int
take_number(const char **text, uint64_t most, uint64_t *out_number)
{
	char digits[24];
	size_t len = strcspn(*text, ".");

	if (len == 0 || len >= sizeof(digits))
		return -EINVAL;
	memcpy(digits, *text, len);
	digits[len] = '\0';
	*text += len + ((*text)[len] == '.' ? 1 : 0);
	return parse_u64(digits, out_number) == 0 && *out_number <= most
	    ? 0
	    : -EINVAL;
}

int
record_id_parse(const char *text, struct ring_trace_id *out_id)
{
	uint64_t link = RING_TRACE_NO_LINK, lane, sequence;
	const char *second, *end = text + strlen(text);
	size_t points = 0;

	for (const char *at = text; *at != '\0'; at++)
		points += *at == '.';
	if (points != 2 || end[-1] == '.')
		return -EINVAL;
	second = text;
	if (strncmp(text, MQTT ".", sizeof(MQTT)) == 0)
		second += sizeof(MQTT);
	else if (take_number(&second, RING_LINKS - 1, &link) != 0)
		return -EINVAL;
	if (take_number(&second, UINT16_MAX, &lane) != 0 ||
	    take_number(&second, UINT64_MAX, &sequence) != 0)
		return -EINVAL;
	*out_id = (struct ring_trace_id){
		.link = (uint32_t)link,
		.lane = (uint16_t)lane,
		.sequence = sequence,
	};
	return 0;
}
