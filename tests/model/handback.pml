/* SPDX-License-Identifier: Apache-2.0 */

/*
 * handback - a restarted broker gets the memory of a link back.
 *
 * The Broker feeds one link from an input lane of RECORDS records.  When it
 * starts, the link's memory OLD is in the supervisor's store, or the living
 * Endpoint has it, or both.  The Broker asks the store, then waits for the
 * Endpoint; when that is too slow it makes a FRESH memory, stores it, and
 * feeds that.  A late hand-back replaces FRESH by OLD: OLD is stored, what
 * FRESH has and OLD lacks is carried over, then FRESH is given up.  Broker
 * and Endpoint die at any step, CRASHES times in all; the Endpoint reads
 * whatever memory it holds, attached or not.
 *
 * A memory is two numbers: the sequence of its last record (its `forwarded`,
 * which moves with the head: handover.pml), and that of the last released.
 *
 * Left out: other links and lanes, sleep and wake, the checks of what is
 * handed back (owner, seals, identity: tests).
 *
 * Shown: while the store or the Endpoint has the memory, the Endpoint gets
 * every record exactly once and in order; there is never a second FRESH.
 *
 * quick: -DRECORDS=3 -DCRASHES=2
 * full: -DRECORDS=4 -DCRASHES=3
 */

#define NO_FAULT 0
#define FRESH_WINS 1       /* FAULT: a late hand-back is turned away */
#define NO_CARRY 2         /* FAULT: FRESH is given up with its records */
#define CARRIES_ALL 3      /* FAULT: carries what OLD has already */
#define GIVES_UP_FIRST 4   /* FAULT: FRESH leaves the store before the carry */
#define NOT_STORED 5       /* FAULT: what is handed back is not stored */
#define FRESH_AT_START 6   /* FAULT: of two in the store it takes FRESH */
#define IGNORES_STORE 7    /* FAULT: does not ask the store */
#define TAIL_FIRST 8       /* FAULT: the input's tail moves before the commit */
#ifndef FAULT
#define FAULT NO_FAULT
#endif

#define OLD 0
#define FRESH 1
#define NOTHING 2

byte last[2], tail[2]; /* of the two memories, see above */
byte input_tail;
byte received;        /* ghost: by the endpoint */
bool is_stored[2];
bool is_made;         /* FRESH was made */
byte held = OLD;      /* by the endpoint */
bool asks;            /* the endpoint waits for a grant */
bool is_attached;
bool is_begun;        /* the first broker is dead, and has left this: */
byte crashes = CRASHES;

/* ---- the broker --------------------------------------------------------- */

inline broker_may_die()
{
	if
	:: atomic { crashes > 0 -> crashes--;
		asks = false; is_attached = false; goto restart }
	:: skip
	fi
}

/* The next record of the input lane; what is in the ring is skipped. */
inline feed(memory)
{
	if
	:: FAULT == TAIL_FIRST -> input_tail++; broker_may_die()
	:: else
	fi;
	d_step {
		if
		:: input_tail + 1 > last[memory] && FAULT != TAIL_FIRST ->
			last[memory] = input_tail + 1
		:: input_tail > last[memory] && FAULT == TAIL_FIRST ->
			last[memory] = input_tail
		:: else
		fi
	};
	broker_may_die();
	if
	:: FAULT != TAIL_FIRST -> input_tail++
	:: else
	fi;
	broker_may_die()
}

/* A record at a time, each committed with its `forwarded`. */
inline carry_over()
{
	if
	:: FAULT == GIVES_UP_FIRST -> is_stored[FRESH] = false;
		broker_may_die()
	:: else
	fi;
	carried = (FAULT == NO_CARRY -> last[FRESH] : tail[FRESH]);
	do
	:: carried < last[FRESH] ->
		carried++;
		if
		:: carried > last[OLD] || FAULT == CARRIES_ALL ->
			/* In sequence, nothing twice, nothing left out. */
			assert(carried == last[OLD] + 1);
			last[OLD] = carried;
			broker_may_die()
		:: else
		fi
	:: else -> break
	od;
	carried = 0;
	is_stored[FRESH] = false;
	broker_may_die()
}

inline make_fresh()
{
	atomic {
		assert(!is_made); /* or the link would have two of them */
		is_made = true;
		is_stored[FRESH] = true;
		last[FRESH] = input_tail;
		tail[FRESH] = input_tail;
		used = FRESH
	};
	broker_may_die()
}

inline adopt_old()
{
	is_stored[OLD] = is_stored[OLD] || FAULT != NOT_STORED;
	broker_may_die();
	if
	:: is_stored[FRESH] -> carry_over()
	:: else
	fi;
	used = OLD
}

inline grant()
{
	atomic {
		held = used;
		asks = false;
		is_attached = true
	};
	broker_may_die()
}

#define IS_WELCOME \
	(used == NOTHING || (used == FRESH && FAULT != FRESH_WINS))

active proctype Broker()
{
	byte used = NOTHING, carried;

restart:
	atomic { is_begun -> used = NOTHING; carried = 0 };
	if
	:: FAULT == IGNORES_STORE
	:: is_stored[OLD] && FAULT != IGNORES_STORE &&
	    !(FAULT == FRESH_AT_START && is_stored[FRESH]) -> adopt_old()
	:: is_stored[FRESH] && FAULT != IGNORES_STORE &&
	    (!is_stored[OLD] || FAULT == FRESH_AT_START) -> used = FRESH
	:: else
	fi;
end:	do
	:: asks && held == OLD && IS_WELCOME ->
		adopt_old();
		grant()
	:: asks && used != NOTHING && !(held == OLD && IS_WELCOME) -> grant()
	:: asks && held == NOTHING && used == NOTHING -> make_fresh()
	:: !asks && !is_attached && used == NOTHING && !is_made ->
		make_fresh() /* it waited long enough */
	:: used != NOTHING && input_tail < RECORDS -> feed(used)
	od
}

/* ---- the endpoint ------------------------------------------------------- */

/* What neither the store nor a living endpoint has is lost: not our case. */
active proctype Endpoint()
{
	if
	:: is_stored[OLD] = true
	:: skip
	fi;
	if
	:: last[OLD] = 1 /* committed, the input's tail not moved */
	:: last[OLD] = 1; input_tail = 1
	fi;
	is_begun = true;
end:	do
	:: !asks && !is_attached -> asks = true
	:: held != NOTHING && tail[held] < last[held] ->
		atomic {
			assert(tail[held] == received);
			received++;
			tail[held] = tail[held] + 1
		}
	:: atomic { crashes > 0 && held != NOTHING &&
	    (is_stored[held] || is_attached) ->
		crashes--; held = NOTHING; asks = false;
		is_attached = false }
	od
}

active proctype Monitor()
{
end:	atomic { timeout -> assert(received == RECORDS) }
}
