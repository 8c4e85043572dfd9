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

/* In words, for *out_err. */
const char *ask_why_not(int err);

#endif
