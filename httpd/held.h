/* SPDX-License-Identifier: Apache-2.0 */

/*
 * held - tell weirctl whom this process keeps waiting.
 *
 * Goes to the board of httpd's side of its link (common/base/board.h):
 *
 *	committed N			messages that wait for a receipt
 *	held SET N CLIENTS NAME,...	a lane without credit; SET "-": none
 *
 * CLIENTS are counted among the first HELD_LOOKED_AT messages; of their names
 * HELD_NAMES are given, and a "+" if there are more.
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
