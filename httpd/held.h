/* SPDX-License-Identifier: Apache-2.0 */

/*
 * held - tell weirctl whom this process keeps waiting.
 *
 * Goes to the board of httpd's side of its link (common/base/board.h):
 *
 *	committed N			messages that wait for a receipt
 *	held SET N CLIENTS NAME,...	a lane that somebody waits for
 *
 * SET is "-" for the lane of no set.  N are the messages that wait for credit
 * or, committed, for their receipt; CLIENTS is the number of requests they
 * are in, among the first HELD_LOOKED_AT messages; of the accounts HELD_NAMES
 * are named, and a "+" says that there are more.
 */

#ifndef WEIR_HTTPD_HELD_H
#define WEIR_HTTPD_HELD_H

#define HELD_LOOKED_AT 8192u
#define HELD_NAMES 3u

struct board;
struct lanes;
struct pending;

/* Now and then, at least once a second.  `board` may be NULL. */
void held_post(
    const struct pending *pending, struct lanes *lanes, struct board *board);

#endif
