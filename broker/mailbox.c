/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/mailbox.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "broker/rcu.h"
#include "common/base/bug.h"

/*
 * The head is the owner's, the tail and `rung` are everybody's: they do not
 * share a cache line.
 */
struct mailbox {
	struct cds_wfcq_head head; /* [consumer] */
	void *owner;               /* [const] */
	int fd;                    /* [const] */
	_Alignas(64) struct cds_wfcq_tail tail;
	atomic_bool rung; /* the eventfd was written and not read since */
};

struct mailbox *
mailbox_new(void *owner)
{
	struct mailbox *mailbox;
	int err;

	mailbox = aligned_alloc(64, sizeof(*mailbox));
	if (mailbox == NULL)
		return NULL;
	mailbox->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (mailbox->fd == -1) {
		err = errno;
		free(mailbox);
		errno = err;
		return NULL;
	}
	cds_wfcq_init(&mailbox->head, &mailbox->tail);
	mailbox->owner = owner;
	atomic_init(&mailbox->rung, false);
	return mailbox;
}

void
mailbox_free(struct mailbox *mailbox)
{
	if (mailbox == NULL)
		return;
	BUG_ON(!cds_wfcq_empty(&mailbox->head, &mailbox->tail));
	cds_wfcq_destroy(&mailbox->head, &mailbox->tail);
	close(mailbox->fd);
	free(mailbox);
}

void
mailbox_put(struct mailbox *mailbox, struct mail *mail)
{
	cds_wfcq_node_init(&mail->node);
	RCU_PUBLISH(mail);
	cds_wfcq_enqueue(&mailbox->head, &mailbox->tail, &mail->node);
}

/*
 * The exchange is seq_cst, as is the one in silence(): either the owner
 * clears `rung` before we set it, then we write the eventfd, or it clears it
 * after, then it sees what we put.
 */
void
mailbox_wake(struct mailbox *mailbox)
{
	const uint64_t one = 1;
	ssize_t n;

	if (atomic_exchange(&mailbox->rung, true))
		return;
	do
		n = write(mailbox->fd, &one, sizeof(one));
	while (n == -1 && errno == EINTR);
}

int
mailbox_fd(const struct mailbox *mailbox)
{
	return mailbox->fd;
}

static void
silence(struct mailbox *mailbox)
{
	uint64_t rings;
	ssize_t n;

	if (!atomic_load_explicit(&mailbox->rung, memory_order_relaxed))
		return;
	do
		n = read(mailbox->fd, &rings, sizeof(rings));
	while (n == -1 && errno == EINTR);
	atomic_exchange(&mailbox->rung, false);
}

unsigned
mailbox_open(struct mailbox *mailbox, unsigned max)
{
	struct cds_wfcq_node *node;
	struct mail *mail;
	unsigned opened = 0;

	silence(mailbox);
	while (max == 0 || opened < max) {
		node =
		    __cds_wfcq_dequeue_blocking(&mailbox->head, &mailbox->tail);
		if (node == NULL)
			return opened;
		mail = CONTAINER_OF(node, struct mail, node);
		RCU_RECEIVE(mail);
		mail->open(mail, mailbox->owner);
		opened++;
	}
	/* Perhaps there is more: come back for it. */
	mailbox_wake(mailbox);
	return opened;
}
