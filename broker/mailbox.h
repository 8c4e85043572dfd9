/* SPDX-License-Identifier: Apache-2.0 */

/*
 * mailbox - a thread's letter box: any thread puts mail in, one takes it out.
 *
 * Putting is wait-free (liburcu's wfcqueue).  The owner is woken through an
 * eventfd, at most once until it has looked: a batch of mail costs one wake.
 * Mail from one thread arrives in the order it was put.
 */

#ifndef WEIR_BROKER_MAILBOX_H
#define WEIR_BROKER_MAILBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <urcu/wfcqueue.h>

#include "common/base/container_of.h"

struct mailbox;

/* First member of every letter; who made it says how it is freed. */
struct mail {
	struct cds_wfcq_node node;
	void (*open)(
	    struct mail *mail, void *owner); /* on the owner's thread */
};

/* `owner` is handed to every letter's open().  NULL with errno. */
struct mailbox *mailbox_new(void *owner);
void mailbox_free(struct mailbox *mailbox); /* must be empty */

/* Any thread.  Takes `mail`.  The wake is sent by mailbox_wake(). */
void mailbox_put(struct mailbox *mailbox, struct mail *mail);

/* Any thread, once after a batch of puts: wake the owner if it may sleep. */
void mailbox_wake(struct mailbox *mailbox);

/* Owner: the descriptor to watch for reading. */
int mailbox_fd(const struct mailbox *mailbox);

/*
 * Owner: open at most `max` letters (0: all there are).
 * Returns how many were opened.
 */
unsigned mailbox_open(struct mailbox *mailbox, unsigned max);

#endif
