/* SPDX-License-Identifier: Apache-2.0 */

/*
 * journal - the store and the commit line as parts of the broker: made,
 * started and ended in order.
 *
 *	workers and tables are there	journal_open()	recovers
 *	links are there			journal_start()	the members' ports
 *	members' threads have ended	journal_stop()	a last checkpoint
 *	nobody holds a message of it	journal_close()
 *
 * Without a journal (conf_has_journal()) all of it does nothing.  Main thread.
 */

#ifndef WEIR_BROKER_JOURNAL_H
#define WEIR_BROKER_JOURNAL_H

struct broker;

#define JOURNAL_FOLDER "journal" /* in state_dir */

/* EXIT_OK, or an exit code after logging what is wrong. */
int journal_open(struct broker *broker);

/* Likewise.  Before the workers and links are started. */
int journal_start(struct broker *broker);

/*
 * All that was sent is committed, as far as the disk can within some time;
 * then the state is written, so that the next start is short.
 */
void journal_stop(struct broker *broker);

/* All mail has been opened. */
void journal_close(struct broker *broker);

#endif
