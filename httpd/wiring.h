/* SPDX-License-Identifier: Apache-2.0 */

/*
 * wiring - the callbacks that join the parts; private to httpd.c, which makes
 * the parts and hands itself to each as the context.
 */

#ifndef WEIR_HTTPD_WIRING_H
#define WEIR_HTTPD_WIRING_H

#include "httpd/asks.h"
#include "httpd/connection.h"
#include "httpd/identity.h"
#include "httpd/link.h"
#include "httpd/pending.h"

struct httpd;

/* wiring_requests.c */
extern const struct connection_handler wiring_requests;
extern const struct identity_ops wiring_identity;

/* The lane of questions: 0, or -ENOTCONN, -EAGAIN as ops.ask() has them. */
int wiring_plain_lane(const struct httpd *httpd, uint32_t *out_ring_lane);

/* wiring_asks.c */
extern const struct asks_ops wiring_asks;
void wiring_ask_result(void *context, uint64_t correlation,
    const struct ask_result_header *header, struct slice bytes);

/* wiring_messages.c */
extern const struct pending_ops wiring_pending;
extern const struct link_events wiring_link;
bool wiring_slot_is_used(void *context, uint32_t slot);
void wiring_unshare_lanes(struct httpd *httpd);

/* How lanes drain, and whether one overflows: at each tick. */
void wiring_look_at_lanes(struct httpd *httpd);
uint32_t wiring_retry_after_s(void *httpd, uint32_t slot);

#endif
