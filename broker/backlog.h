/* SPDX-License-Identifier: Apache-2.0 */

/*
 * backlog - how much of the journal each bridge is behind.
 *
 * A message for a bridge is counted when it is sent to the journal, by any
 * thread, and uncounted when it is in the bridge's ring, by the links thread.
 * Producers are let through while the count is below `backlog` of the bridge
 * (and the ring is not the only room: with "0" up to one worker_window).
 *
 * One that was found full is full until an eighth of it, or 64 KiB, is free:
 * then all who wait are told at once.
 *
 * Sets of bridges are those of bridge_table.h.
 */

#ifndef WEIR_BROKER_BACKLOG_H
#define WEIR_BROKER_BACKLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/conf/conf.h"

struct backlogs;

enum backlog_answer {
	BACKLOG_TAKES,
	BACKLOG_STALLS,
	BACKLOG_REJECTS, /* one with overflow = "reject" is full */
};

/* NULL: no memory. */
struct backlogs *backlogs_new(const struct conf *conf);
void backlogs_free(struct backlogs *backlogs);

/*
 * The links thread: so many bytes (0: one worker_window) and that policy from
 * now on.  Whoever waits is to be told, and asks again.
 */
void backlog_configure(struct backlogs *backlogs, unsigned bridge,
    uint64_t bytes, enum conf_overflow overflow);

/*
 * Before threads run: `relief` has the links thread make a turn.  Called by
 * any thread, when a message that was not sent after all leaves room that
 * somebody asked for.  Rare.
 */
void backlogs_on_relief(
    struct backlogs *backlogs, void (*relief)(void *context), void *context);

/*
 * Counted for all of `bridges` if it TAKES, for none else.  A message larger
 * than a backlog goes into an empty one.  One with overflow = "drop_newest"
 * that is full is left out of *out_taken instead; one with "drop_oldest" takes
 * it, and the links thread drops what is oldest.
 */
enum backlog_answer backlog_offer(struct backlogs *backlogs, uint64_t bridges,
    size_t weight, uint64_t *out_taken);

/* It was not sent after all. */
void backlog_withdraw(
    struct backlogs *backlogs, uint64_t bridges, size_t weight);

/* Links thread: it is in the ring, dropped, or failed.  Never below 0. */
void backlog_passed(struct backlogs *backlogs, unsigned bridge, size_t weight);

/* Links thread: it is not in the ring after all. */
void backlog_return(struct backlogs *backlogs, unsigned bridge, size_t weight);

/*
 * Links thread: messages that were dropped or refused by backlog_offer() since
 * the last call.
 */
struct backlog_losses {
	uint64_t dropped, refused;
};
struct backlog_losses backlog_losses(
    struct backlogs *backlogs, unsigned bridge);

/* Links thread: what of them was dropped, and is still to be asked for. */
uint64_t backlog_dropped(const struct backlogs *backlogs, unsigned bridge);

/*
 * Links thread, at start: what recovery found.  What is then passed for those
 * messages has to come to the same sum.
 */
void backlog_set(struct backlogs *backlogs, unsigned bridge, uint64_t bytes);

/* Would backlog_offer() take it now?  Any thread, no side effect. */
bool backlog_has_room(
    const struct backlogs *backlogs, unsigned bridge, size_t weight);

/* Any thread; relaxed. */
uint64_t backlog_bytes(const struct backlogs *backlogs, unsigned bridge);
uint64_t backlog_limit(const struct backlogs *backlogs, unsigned bridge);

/* Those that were full when somebody asked, and have had no room since. */
uint64_t backlog_full(const struct backlogs *backlogs);

/*
 * So little is free that who is granted credit by it gets none: whom httpd
 * holds never asks here.  Any thread; relaxed.
 */
bool backlog_is_short(const struct backlogs *backlogs, unsigned bridge);

/*
 * Those that were full when somebody asked, and now have room again; asked
 * once a turn by the links thread, who has the workers told (`moved`).
 */
uint64_t backlog_relieved(struct backlogs *backlogs);

#endif
