/* SPDX-License-Identifier: Apache-2.0 */

/*
 * inherited - sockets on which the supervisor listens for us.
 *
 * systemd (ListenStream=) and its like bind addresses themselves and hand the
 * listening sockets over at each start (LISTEN_FDS), among what else they keep
 * (fdstore.h).  A connection that comes while there is no broker waits in such
 * a socket instead of being refused.  Which listener one is for is told by its
 * address; its name is for people.
 *
 *	fd = inherited_take(&broker->kept, "127.0.0.1:1883");
 *	...
 *	inherited_close_rest(&broker->kept);
 *
 * Main thread, while the broker starts.
 */

#ifndef WEIR_BROKER_INHERITED_H
#define WEIR_BROKER_INHERITED_H

struct fdstore;

/*
 * The listening socket that is bound where `bind` says: now the caller's, and
 * non-blocking.  -ENOENT: there is none.
 */
int inherited_take(struct fdstore *store, const char *bind);

/*
 * Those that no listener took are closed, and the log names them: who connects
 * there would wait for ever.  The store has no taken entries afterwards.
 */
void inherited_close_rest(struct fdstore *store);

#endif
