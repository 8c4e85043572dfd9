/* SPDX-License-Identifier: Apache-2.0 */

/*
 * reopen - a lane is opened, closed, and its slot used again.
 *
 * The Endpoint produces into one lane slot, the Broker consumes.  Head and
 * tail live in the sides of the link and go on for ever; the records live in
 * a memory of the lane's own, which the Broker makes at OPEN, keeps over its
 * death, and gives up at CLOSE.  The Endpoint asks CLOSE when the lane is
 * empty and writes nothing after it until it is answered; to the Broker a
 * CLOSE of a lane that is not empty is a fault.  Each may die at any step, CRASHES times in all.
 * What a dead process had sent can still be read; what it had not read is
 * gone; a message of an earlier connection may be read after the new HELLO.
 *
 * Left out: what is in a record, sleep and wake, wrapping (growth.pml).
 *
 * Shown: a record is read from the memory that it was written to; a memory
 * with unreleased records is never given up; Endpoint and Broker never work
 * on two memories; positions never go back; all records arrive.
 *
 * quick: -DRECORDS=2 -DMEMORIES=3 -DCRASHES=2
 * full: -DRECORDS=3 -DMEMORIES=4 -DCRASHES=3
 */

#define NO_FAULT 0
#define WRITES_AFTER_CLOSE 1  /* FAULT: writes between CLOSE and its answer */
#define WRITES_AFTER_BREAK 2  /* FAULT: a broken connection answers a CLOSE */
#define CLOSES_IN_USE 3       /* FAULT: asks CLOSE before all is released */
#define STALE_CLOSE 4         /* FAULT: obeys a CLOSE of an old connection */
#define SECOND_MEMORY 5       /* FAULT: a grant without the lane there is */
#define FROM_ZERO 6           /* FAULT: positions begin anew in new memory */
#define KEEPS_OLD 7           /* FAULT: goes on though the grant has no lane */
#define FORGETS_MEMORY 8      /* FAULT: the next broker does not adopt it */
#ifndef FAULT
#define FAULT NO_FAULT
#endif

#define NONE 0 /* no memory, or no connection */

mtype = { HELLO, GRANT, OPEN, OPENED, CLOSE, CLOSED };

byte head, tail;         /* in the sides, for the life of the link */
byte kept;               /* the memory that the broker and its store keep */
byte made;               /* memories made so far */
byte written_to[RECORDS]; /* ghost: the memory that has this record */
byte connections;
byte broken;             /* the connections up to this one have ended */
byte crashes = CRASHES;

chan to_broker = [4] of { mtype, byte };         /* what, connection */
chan to_endpoint = [4] of { mtype, byte, byte }; /* and the memory */

/* Nothing that is committed and not released may be anywhere else. */
#define IS_KEPT(memory) (tail == head || ((memory) == kept && \
	written_to[tail] == kept && written_to[head - 1] == kept))

inline forget(queue_is_to_broker)
{
	do
	:: queue_is_to_broker && len(to_broker) > 0 -> to_broker?_, _
	:: !queue_is_to_broker && len(to_endpoint) > 0 -> to_endpoint?_, _, _
	:: else -> break
	od
}

/* ---- the endpoint, which produces -------------------------------------- */

inline endpoint_may_die()
{
	if
	:: atomic { crashes > 0 -> crashes--; forget(false); goto restart }
	:: skip
	fi
}

/* Into a connection that is broken nothing goes; so it is no matter. */
inline ask(what)
{
	if
	:: connection > broken -> to_broker!what, connection
	:: else
	fi
}

active proctype Endpoint()
{
	byte memory, granted, position, connection;
	mtype awaited; /* the answer, or NONE */

restart:
	atomic { memory = NONE; position = head };
connect:
	atomic {
		connections++;
		connection = connections;
		granted = NONE;
		awaited = (FAULT == WRITES_AFTER_BREAK && memory != NONE ->
		    NONE : GRANT);
		to_broker!HELLO, connection
	};
	endpoint_may_die();
	do
	:: head == RECORDS && tail == RECORDS -> break
	:: (awaited == NONE || (awaited == CLOSED &&
	    FAULT == WRITES_AFTER_CLOSE)) && memory != NONE &&
	    position < RECORDS ->
		written_to[position] = memory;
		endpoint_may_die();
		atomic {
			position++;
			assert(position > head);
			head = position;
			assert(IS_KEPT(memory))
		};
		endpoint_may_die()
	:: awaited == NONE && memory == NONE && position < RECORDS ->
		atomic { ask(OPEN); awaited = OPENED };
		endpoint_may_die()
	:: awaited == NONE && memory != NONE && made < MEMORIES &&
	    position == head && (head == tail || FAULT == CLOSES_IN_USE) ->
		atomic { ask(CLOSE); awaited = CLOSED };
		endpoint_may_die()
	:: atomic { to_endpoint?GRANT, eval(connection), granted ->
		memory = (FAULT == KEEPS_OLD && memory != NONE ->
		    memory : granted);
		position = head; awaited = NONE; granted = NONE }
	:: atomic { to_endpoint?OPENED, eval(connection), memory ->
		position = (FAULT == FROM_ZERO -> 0 : head); awaited = NONE }
	:: atomic { to_endpoint?CLOSED, eval(connection), _ ->
		memory = NONE; awaited = NONE }
	:: atomic { len(to_endpoint) > 0 &&
	    !to_endpoint?[_, eval(connection), _] ->
		to_endpoint?_, _, _ } /* sent to one that died */
	:: connection <= broken && len(to_endpoint) == 0 -> goto connect
	od
}

/* ---- the broker, which consumes ---------------------------------------- */

inline broker_may_die()
{
	if
	:: atomic { crashes > 0 -> crashes--; forget(true);
		broken = connections;
		kept = (FAULT == FORGETS_MEMORY -> NONE : kept); goto restart }
	:: skip
	fi
}

inline answer(what)
{
	if
	:: link > broken -> to_endpoint!what, link, kept
	:: else
	fi;
	broker_may_die()
}

inline give_up()
{
	kept = NONE;
	assert(tail == head)
}

active proctype Broker()
{
	byte link, from; /* the connection that is the link, of a message */

restart:
	link = NONE;
end:	do
	:: head > tail && kept != NONE ->
		broker_may_die();
		assert(written_to[tail] == kept);
		tail++;
		broker_may_die()
	:: to_broker??HELLO, from ->
		/* The latest is the link; what an older one says is void. */
		link = (from > link -> from : link);
		if
		:: from == link && FAULT == SECOND_MEMORY ->
			to_endpoint!GRANT, link, NONE
		:: from == link && FAULT != SECOND_MEMORY -> answer(GRANT)
		:: from != link
		fi
	:: to_broker??OPEN, from ->
		if
		:: from == link &&
		    (kept == NONE || FAULT == SECOND_MEMORY) ->
			atomic { made++; kept = made; assert(IS_KEPT(kept)) };
			broker_may_die()
		:: else
		fi;
		if
		:: from == link -> answer(OPENED)
		:: else
		fi
	:: to_broker??CLOSE, from ->
		if
		:: from != link && FAULT != STALE_CLOSE
		:: else ->
			atomic { give_up() };
			broker_may_die();
			answer(CLOSED)
		fi
	od
}
