/* SPDX-License-Identifier: Apache-2.0 */

/*
 * commit_private - what the files of the commit share (see commit.h).
 *
 *	commit_item.c	 what is sent, while its member makes it
 *	commit_port.c	 a member's end: tickets, the window, DONE entries
 *	commit_append.c	 an item as the store wants it
 *	commit_gather.c	 whether a run should wait for more
 *	commit_line.c	 the commit thread: takes, appends, commits, fails
 *	commit_news.c	 what members are told of a run
 *	commit_keeper.c	 segments and checkpoints, on a thread of its own
 *	commit_reader.c	 reads cursors, on a thread of its own
 *
 * Items go from the ports through one stack, the inbox, to the commit thread,
 * a chain of them at a time.  A delivery lies in its item and is linked from
 * there to the news of its member, so nothing is allocated between a commit
 * and the mail that tells of it.
 */

#ifndef WEIR_BROKER_COMMIT_PRIVATE_H
#define WEIR_BROKER_COMMIT_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "broker/commit.h"
#include "broker/waker.h"
#include "common/base/pool.h"

/* Deliveries in the item itself, or bytes of state instead of them. */
#define COMMIT_FEW_WAYS 2u

/* Entries of one DONE item. */
#define COMMIT_DONES 64u

enum commit_what {
	COMMIT_MESSAGE,
	COMMIT_STATE,
	COMMIT_CURSOR,
	COMMIT_DONE
};

/* A delivery in its item, and its place in the news of its member. */
struct commit_way {
	struct commit_way *next; /* [commit] */
	struct commit_item *item;
	uint64_t cursor;
	uint32_t first_identifier; /* in the item's */
	uint16_t identifier_count;
	uint16_t member;
	uint8_t qos;
	bool retain;
	bool is_durable;
	uint32_t share; /* with identifiers it lies before them, too */
};

/* Its member's until it is sent, then the commit thread's. */
struct commit_item {
	struct commit_item *next;
	struct commit_port *port;
	struct pool *home; /* NULL: from the heap */
	struct message *message;
	uint64_t ticket;   /* 0: nobody is told */
	uint64_t sequence; /* 0: not written */
	size_t weight;     /* before it is sent, that of its copies */
	uint8_t what;      /* enum commit_what */
	uint8_t kind;      /* enum store_kind, of STATE and CURSOR */
	uint16_t packet_id;
	bool is_written;
	bool must_sync;

	/* News with a delivery of it; who drops the last frees the item. */
	_Atomic uint32_t holders;

	uint64_t publisher; /* CURSOR: the cursor */
	uint64_t retain_serial;

	uint32_t way_count, way_room, durable_count;
	uint32_t identifier_count, identifier_room;
	uint32_t length;            /* of STATE in bytes, of DONE in entries */
	struct commit_way *ways;    /* `few`, or on the heap */
	uint32_t *identifiers;      /* on the heap */
	uint8_t *bytes;             /* of STATE: `few`, or on the heap */
	struct commit_item *copies; /* of MESSAGE: before it, see commit.h */

	struct commit_way few[COMMIT_FEW_WAYS];
	struct store_done dones[]; /* of DONE */
};

struct commit_port {
	struct commit *commit;        /* [const] */
	unsigned member;              /* [const] */
	struct stats_block *counters; /* [const] the member's; may be NULL */

	/* [member] */
	struct pool items;
	struct pool done_items;
	bool is_adopted;
	struct commit_item *newest, *oldest; /* sent, not yet in the inbox */
	unsigned gathered;
	bool is_urgent;            /* something gathered is waited for */
	struct commit_item *done;  /* being filled */
	struct commit_item *spare; /* another, should memory run out */
	uint64_t last_ticket, settled_ticket;
	uint64_t sent_weight, settled_weight;
	_Atomic uint64_t refused; /* offers; relaxed */
};

/* What one member is told of one run. */
struct commit_news {
	struct mail mail;
	struct commit *commit;
	unsigned member;
	struct commit_way *first, *last;
	struct commit_letter letter;
	size_t weight; /* of its own items that are settled */
};

/* A member, as the commit thread sees it. */
struct commit_desk {
	struct commit_news *open;  /* of this run; NULL: nothing to tell */
	struct commit_news *spare; /* the next one */
	struct commit_item *last;  /* it has a delivery of this one */
	bool must_wake;            /* mail was put for it */
};

struct commit_list {
	struct commit_item *first, *last;
};

/* Items that are committed together, and end alike. */
struct commit_run {
	struct commit_list held;   /* news have them */
	struct commit_list unheld; /* freed at the end of the run */
	size_t weight;
	uint64_t items, records;
	bool is_appended; /* there is something to commit */
	bool is_urgent;   /* somebody waits for its end */
	bool must_sync;
};

/* See commit_gather.c.  Embed it by value, zeroed. */
struct commit_gather {
	uint64_t sync_ns;  /* of a commit with a sync, smoothed */
	uint64_t ended_ns; /* when the last one did */
	uint64_t settled;  /* items that it had */
	uint64_t came;     /* since then */
	uint64_t seen;     /* of them, when it was last looked */
	uint64_t recent;   /* of them, in about two steps */
	unsigned pause;    /* runs until it is tried again */
	bool is_behind;    /* what was there when it ended has been counted */
	bool has_waited;
};

/* [commit] but for `news`, which members put back. */
struct commit_line {
	struct commit_list pending; /* out of the inbox */
	struct commit_list kept;    /* DONE and CLOSE to be tried again */
	struct commit_run run;
	struct pool news;
	struct commit_desk *desks;
	struct store_delivery *deliveries; /* of the message at hand */
	size_t delivery_room;
	uint64_t ahead_ns; /* see wall_clock.h */
	struct commit_gather gather;

	bool is_stocked;  /* with news for a run */
	unsigned starved; /* how often the next item found no memory */
	uint64_t now_ns;  /* when this round began */

	/* 0: not. */
	uint64_t write_due_ns; /* for what is appended and not urgent */
	uint64_t sync_due_ns;  /* for what was committed without a sync */
	uint64_t retry_at_ns;
	uint64_t trim_at_ns;
	uint64_t calm_at_ns;                     /* then the failure is over */
	uint64_t failing_since_ns, failed_at_ns; /* the first time, the last */
	uint64_t refused_before;                 /* when it began to fail */
	uint64_t refused;                        /* items, ever */
	struct store_stat stat;                  /* as it was counted last */
	uint64_t stat_at_ns;
};

struct commit_keeper {
	struct waker waker;
	atomic_bool has_work;
	atomic_bool is_asked;
	bool has_failed;        /* its last checkpoint */
	uint64_t not_before_ns; /* the next one after that */
};

struct commit_read;

struct commit_reader {
	struct waker waker;
	_Atomic(struct commit_read *) inbox; /* newest first */
	struct store_reader *store_reader;
	struct message_pools *messages;
	struct pool entries; /* members put them back */
};

enum commit_thread {
	COMMIT_READER,
	COMMIT_LINE,
	COMMIT_KEEPER,
	COMMIT_THREADS
};

struct commit {
	/* [const] */
	struct store *store;
	struct commit_member *members;
	unsigned member_count;
	size_t window_bytes;
	struct stats_block *counters; /* the commit thread's; may be NULL */
	int (*write_state)(void *context, struct store_checkpoint *checkpoint);
	void *context;
	struct commit_port *ports;

	/* Why messages are refused; written by the commit thread. */
	_Atomic int error;

	_Alignas(64) _Atomic(struct commit_item *) inbox; /* newest first */
	struct waker waker;

	_Alignas(64) struct commit_line line;
	struct commit_keeper keeper;
	struct commit_reader reader;

	pthread_t threads[COMMIT_THREADS];
	bool is_running[COMMIT_THREADS];
	atomic_bool stops[COMMIT_THREADS];
	bool has_last_checkpoint; /* the keeper writes one before it ends */
};

/* ---- commit_item.c ----------------------------------------------------- */

/* With nothing in it but what it is.  NULL: no memory. */
struct commit_item *commit_item_new(
    struct commit_port *port, enum commit_what what);

/* Copies the body.  False: no memory. */
bool commit_item_set_body(struct commit_item *item, struct slice body);

/* The message, and its memory.  Any thread. */
void commit_item_free(struct commit_item *item);

/* A holder less; the last frees it. */
void commit_item_drop(struct commit_item *item);

static inline void
commit_list_add(struct commit_list *list, struct commit_item *item)
{
	item->next = NULL;
	if (list->first == NULL)
		list->first = item;
	else
		list->last->next = item;
	list->last = item;
}

struct commit_item *commit_list_take(struct commit_list *list);
void commit_list_free(struct commit_list *list);

/* ---- commit_port.c ----------------------------------------------------- */

int commit_port_init(
    struct commit_port *port, struct commit *commit, unsigned member);
void commit_port_fini(struct commit_port *port);

/* A reason for a member's errno. */
enum mqtt_reason commit_reason(int err);

/* ---- commit_news.c: the commit thread's, but for what mail does -------- */

int commit_news_init(struct commit *commit);
void commit_news_fini(struct commit *commit);

/* Before each run, so that nothing fails later.  False: no memory. */
bool commit_news_stock(struct commit *commit);

/* Its deliveries are told of, and its ticket. */
void commit_news_add(struct commit *commit, struct commit_item *item);

/* Tell; with an error the deliveries are left out. */
void commit_news_post(struct commit *commit, enum mqtt_reason reason);

/* ---- commit_append.c --------------------------------------------------- */

/* Into the store's batch.  0 with item->sequence, or as store_append(). */
int commit_append(struct commit *commit, struct commit_item *item);

/* ---- commit_gather.c ------------------------------------------------------
 */

/* How long to wait before looking for more; 0: not. */
uint64_t commit_gather_ns(
    struct commit_gather *gather, uint64_t items, uint64_t now_ns);

/* So many items were in the inbox. */
void commit_gather_came(struct commit_gather *gather, uint64_t items);

/* A run of so many was synced, which took so long. */
void commit_gather_ended(struct commit_gather *gather, uint64_t items,
    uint64_t took_ns, uint64_t now_ns);

/* ---- the threads ------------------------------------------------------- */

void *commit_line_run(void *commit);
void commit_line_fini(struct commit *commit);

void *commit_keeper_run(void *commit);
void commit_keeper_wake(void *commit);

int commit_reader_init(struct commit *commit);
void commit_reader_fini(struct commit *commit);
void *commit_reader_run(void *commit);

#endif
