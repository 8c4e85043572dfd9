/* SPDX-License-Identifier: Apache-2.0 */

/*
 * retain_job - retained messages on their way to a new subscription.
 *
 * A wildcard may match more messages than a client can take at once.  A job
 * is a lookup under way: it goes on, slice by slice, as far as the client's
 * output and window have room, and costs one topic of memory meanwhile.  Jobs
 * are the session's; they rest while it is offline.
 */

#ifndef WEIR_BROKER_RETAIN_JOB_H
#define WEIR_BROKER_RETAIN_JOB_H

#include "broker/subscription_tree.h"
#include "common/base/slice.h"

struct retained;
struct session;
struct worker;

/*
 * Begin to send what is retained for `filter`; instead of what an earlier job
 * for the same filter had still to send.  Returns 0 or -ENOMEM.
 */
int retain_job_start(struct session *session, struct slice filter,
    const struct subscription_options *options);

/* Unsubscribed: send no more for this filter. */
void retain_job_stop(struct session *session, struct slice filter);

/* Send what there is room for.  Returns true if a turn did not suffice. */
bool retain_jobs_pump(struct worker *worker, struct session *session);

/* Forget all jobs. */
void retain_jobs_fini(struct session *session);

#endif
