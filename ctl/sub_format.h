/* SPDX-License-Identifier: Apache-2.0 */

/*
 * sub_format - how `weirctl sub -F` shows a message.
 *
 *	%t topic   %p payload   %l payload's length   %x payload in hex
 *	%q QoS     %r retained  %m packet identifier  %I time, ISO 8601
 *	%C content type   %R response topic   %P user properties  (MQTT 5.0)
 *	%% a percent sign      \n \t \r \0 \\ as in C
 */

#ifndef WEIR_CTL_SUB_FORMAT_H
#define WEIR_CTL_SUB_FORMAT_H

#include <stdint.h>
#include <stdio.h>

#include "common/mqtt/packet.h"

/* NULL, or a sentence about what is wrong with `format`. */
const char *sub_format_check(const char *format);

/*
 * Print the message as a checked format says.  `wall_ns` is clock_wall_ns()
 * and shown in local time.  Nothing is added at the end.
 */
void sub_format_print(const char *format, const struct mqtt_publish *publish,
    uint64_t wall_ns, FILE *out);

#endif
