/* SPDX-License-Identifier: Apache-2.0 */

/*
 * mqtt_count - a subscriber that counts what comes, for load programs: MQTT
 * 3.1.1, QoS 0, over one socket.
 *
 *	mqtt_count_open(&count, port, "bench/#", 3);
 *	... whenever count.fd is readable ...
 *	mqtt_count_read(&count);
 *	printf("%llu\n", count.messages);
 */

#ifndef WEIR_BENCH_MQTT_COUNT_H
#define WEIR_BENCH_MQTT_COUNT_H

#include <stddef.h>
#include <stdint.h>

struct mqtt_count {
	int fd;
	uint64_t messages;
	/* Of the packet that is being read. */
	uint64_t left; /* bytes of its body that are still to come */
	unsigned shift;
	int in_length;
};

/*
 * Connect to a port of the loopback address, subscribe, and read the
 * acknowledgements; `seconds` at most.  Returns 0 or -errno.
 */
int mqtt_count_open(struct mqtt_count *count, uint16_t port, const char *filter,
    unsigned seconds);

/*
 * Read what is there.  Returns 0; -EPIPE: the broker closed the connection;
 * or -errno.
 */
int mqtt_count_read(struct mqtt_count *count);

#endif
