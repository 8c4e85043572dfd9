/* SPDX-License-Identifier: Apache-2.0 */

#include <stdio.h>

#include "bench/order.h"

static void
add_filter(struct mqtt_subscription *list, size_t *count, const char *text,
    uint8_t qos)
{
	list[(*count)++] = (struct mqtt_subscription){
		.filter = slice_of_string(text),
		.qos = qos,
	};
}

size_t
order_filters(const struct order_options *options, unsigned subscriber,
    struct mqtt_subscription *out_list)
{
	static char texts[ORDER_MAX_TOPICS][32];
	const uint8_t qos = (uint8_t)options->granted;
	size_t count = 0;

	switch (options->how) {
	case ORDER_OWN:
		snprintf(texts[0], 32, "%s/%u/+", options->name,
		    subscriber % (unsigned)options->publishers);
		add_filter(out_list, &count, texts[0], qos);
		break;
	case ORDER_ALL:
		snprintf(texts[0], 32, "%s/+/+", options->name);
		add_filter(out_list, &count, texts[0], qos);
		break;
	case ORDER_EXACT:
		for (uint64_t i = 0; i < options->publishers * options->topics;
		     i++) {
			snprintf(texts[i], 32, "%s/%u/%u", options->name,
			    (unsigned)(i / options->topics),
			    (unsigned)(i % options->topics));
			add_filter(out_list, &count, texts[i], qos);
		}
		break;
	case ORDER_OVERLAP:
		snprintf(texts[0], 32, "%s/#", options->name);
		snprintf(texts[1], 32, "%s/+/+", options->name);
		snprintf(texts[2], 32, "%s/%u/+", options->name,
		    subscriber % (unsigned)options->publishers);
		add_filter(out_list, &count, texts[0], 0);
		add_filter(out_list, &count, texts[1], qos);
		add_filter(out_list, &count, texts[2], qos == 0 ? 0 : 1);
		break;
	case ORDER_SHARED:
		snprintf(texts[0], 32, "$share/o/%s/#", options->name);
		add_filter(out_list, &count, texts[0], qos);
		break;
	}
	return count;
}
