/* SPDX-License-Identifier: Apache-2.0 */

/* ask - questions to the running broker, over its control socket. */

#ifndef WEIR_CTL_ASK_H
#define WEIR_CTL_ASK_H

#include <jansson.h>

/*
 * The broker's answer, to be freed; NULL and in *out_err why: -errno as
 * ring_control_ask() has it, -EBADMSG for what is no JSON.
 */
json_t *ask_broker(const char *run_dir, const char *question, int *out_err);

/*
 * As above, a question of common/msg/ask.h as an object, which it takes (NULL:
 * no memory).  It may take longer.
 */
json_t *ask_broker_json(const char *run_dir, json_t *question, int *out_err);

/* In words, for *out_err. */
const char *ask_why_not(int err);

#endif
