/* SPDX-License-Identifier: Apache-2.0 */

/*
 * lanes - sleep and wake over two lanes of one link.
 *
 * A Producer writes lane FREE and lane STUCK; a Consumer reads both.  Records
 * of lane FREE always go on.  Those of lane STUCK go on while the destination
 * has room, and the destination may stop giving room for ever: then lane FREE
 * must still run and nobody may spin.  Each side has one arm for both lanes.
 *
 * Modelled: every shared store first waits in a store buffer and reaches
 * memory at any later time, in any order (weaker than any processor); a fence
 * waits until the buffers of its process are empty.  Each side may die at any
 * step and starts again from shared memory; what waits in a dead process'
 * buffers still arrives.
 * Left out: what is in a record, pads and classes (growth.pml).
 *
 * Shown: when nobody can go on, nothing could move (no lost wake-up); between
 * two events that change anything, a side arms a bounded number of times.
 *
 * quick: -DFREE_RECORDS=1 -DSTUCK_RECORDS=2
 * full: -DFREE_RECORDS=2 -DSTUCK_RECORDS=2
 */

#define NO_FAULT 0
#define NO_FENCE 1            /* FAULT: no fence between a store and a look */
#define NO_BELL_AT_ATTACH 2   /* FAULT: who comes back does not ring */
#define NO_RECHECK 3          /* FAULT: sleeps without looking again */
#define RECHECKS_ONE_LANE 4   /* FAULT: looks again at lane FREE alone */
#define RECHECKS_NON_EMPTY 5  /* FAULT: takes a stuck record for movable */
#define REUSES_ARM 6          /* FAULT: sleeps again without a new arm value */
#define NO_BELL_FOR_CREDIT 7  /* FAULT: a grant that awaited room is silent */
#define DESTINATION_SILENT 8  /* FAULT: who has room again does not look */
#ifndef FAULT
#define FAULT NO_FAULT
#endif

#define FREE 0
#define STUCK 1
#define NO_LANE 2
#define CAPACITY 1 /* records that a lane grants ahead of its tail */
#define OVERDRAFT 1 /* records granted beyond the destination's room */
#define IN_MEMORY 255 /* nothing waits in this store buffer */
#define ARMS_MAX 5    /* between two events: stale bells and crashes */

/* Shared words, and behind each what its writer stored and none yet sees. */
byte head[2], head_buffer[2] = IN_MEMORY;
byte limit[2] = CAPACITY, limit_buffer[2] = IN_MEMORY;
byte tail[2]; /* the producer of this model waits for `limit` alone */
byte room, room_buffer = IN_MEMORY;
byte consumer_arm, consumer_arm_buffer = IN_MEMORY;
byte producer_arm, producer_arm_buffer = IN_MEMORY;
bool consumer_bell, producer_bell;

/*
 * "Is the arm odd, and not the value for which I rang?"  An arm value is used
 * once, so that one bit a ringer is exact: it falls when a new value shows.
 */
bool producer_rang, destination_rang, consumer_rang;

byte crashes = 1;
byte consumer_arms, producer_arms; /* since the last event */
bool consumer_is_done;

#define PRODUCER_FENCE (FAULT == NO_FENCE || (head_buffer[0] == IN_MEMORY && \
	head_buffer[1] == IN_MEMORY && producer_arm_buffer == IN_MEMORY))
#define CONSUMER_FENCE (FAULT == NO_FENCE || (limit_buffer[0] == IN_MEMORY && \
	limit_buffer[1] == IN_MEMORY && consumer_arm_buffer == IN_MEMORY))
#define DESTINATION_FENCE (FAULT == NO_FENCE || room_buffer == IN_MEMORY)

#define MIN(a, b) ((a) < (b) -> (a) : (b))
#define CAN_WRITE_FREE(my_head) \
	(my_head < FREE_RECORDS && my_head < limit[FREE])
#define CAN_WRITE_STUCK(my_head) \
	(my_head < STUCK_RECORDS && my_head < limit[STUCK])
#define CREDIT_FREE(my_tail) (my_tail + CAPACITY)
#define CREDIT_STUCK(my_tail, its_room) \
	MIN(my_tail + CAPACITY, its_room + OVERDRAFT)

inline event()
{
	consumer_arms = 0;
	producer_arms = 0
}

inline maybe_die()
{
	if
	:: atomic { crashes > 0 -> crashes--; event(); goto restart }
	:: skip
	fi
}

active proctype Memory()
{
end:	do
	:: atomic { head_buffer[FREE] != IN_MEMORY ->
		head[FREE] = head_buffer[FREE]; head_buffer[FREE] = IN_MEMORY }
	:: atomic { head_buffer[STUCK] != IN_MEMORY ->
		head[STUCK] = head_buffer[STUCK];
		head_buffer[STUCK] = IN_MEMORY }
	:: atomic { limit_buffer[FREE] != IN_MEMORY ->
		limit[FREE] = limit_buffer[FREE];
		limit_buffer[FREE] = IN_MEMORY }
	:: atomic { limit_buffer[STUCK] != IN_MEMORY ->
		limit[STUCK] = limit_buffer[STUCK];
		limit_buffer[STUCK] = IN_MEMORY }
	:: atomic { room_buffer != IN_MEMORY ->
		room = room_buffer; room_buffer = IN_MEMORY }
	:: atomic { consumer_arm_buffer != IN_MEMORY ->
		consumer_arm = consumer_arm_buffer;
		consumer_arm_buffer = IN_MEMORY;
		producer_rang = false; destination_rang = false }
	:: atomic { producer_arm_buffer != IN_MEMORY ->
		producer_arm = producer_arm_buffer;
		producer_arm_buffer = IN_MEMORY; consumer_rang = false }
	od
}

active proctype Producer()
{
	byte my_head[2];
	byte lane = NO_LANE;
	bool movable, ring;

restart:
	atomic { head_buffer[0] == IN_MEMORY && head_buffer[1] == IN_MEMORY &&
	    producer_arm_buffer == IN_MEMORY ->
		my_head[0] = head[0]; my_head[1] = head[1];
		producer_rang = false; producer_arm = 0;
		lane = NO_LANE; movable = false; ring = false; event();
		consumer_bell = (FAULT == NO_BELL_AT_ATTACH ->
		    consumer_bell : true) }
	do
	:: my_head[FREE] == FREE_RECORDS && my_head[STUCK] == STUCK_RECORDS ->
		break
	:: else ->
		if
		:: CAN_WRITE_FREE(my_head[FREE]) -> lane = FREE
		:: CAN_WRITE_STUCK(my_head[STUCK]) -> lane = STUCK
		:: !CAN_WRITE_FREE(my_head[FREE]) &&
		    !CAN_WRITE_STUCK(my_head[STUCK]) -> lane = NO_LANE
		fi;
		if
		:: lane != NO_LANE ->
			/* Commit, fence, look at the arm, ring once. */
			atomic { head_buffer[lane] == IN_MEMORY ->
				my_head[lane] = my_head[lane] + 1;
				head_buffer[lane] = my_head[lane]; event() };
			maybe_die();
			PRODUCER_FENCE;
			atomic { ring = consumer_arm && !producer_rang;
				producer_rang = producer_rang || ring };
			if
			:: ring ->
				maybe_die();
				atomic { consumer_bell = true; ring = false }
			:: else
			fi
		:: else ->
			/* Arm, fence, look again at all that can move. */
			atomic { producer_arm_buffer == IN_MEMORY ->
				producer_arm_buffer = 1; producer_arms++;
				assert(producer_arms <= ARMS_MAX) };
			maybe_die();
			PRODUCER_FENCE;
			movable = FAULT != NO_RECHECK &&
			    CAN_WRITE_FREE(my_head[FREE]);
			movable = movable || (FAULT != NO_RECHECK &&
			    FAULT != RECHECKS_ONE_LANE &&
			    CAN_WRITE_STUCK(my_head[STUCK]));
			if
			:: movable
			:: else ->
end_asleep:			atomic { producer_bell ->
					producer_bell = false };
				if
				:: FAULT == REUSES_ARM &&
				    !CAN_WRITE_FREE(my_head[FREE]) &&
				    !CAN_WRITE_STUCK(my_head[STUCK]) ->
					goto end_asleep
				:: else
				fi
			fi;
			maybe_die();
			atomic { producer_arm_buffer == IN_MEMORY ->
				producer_arm_buffer = 0; movable = false }
		fi;
		lane = NO_LANE;
		maybe_die()
	od
}

#define HAS_FREE (head[FREE] > my_tail[FREE])
#define HAS_STUCK (head[STUCK] > my_tail[STUCK] && my_tail[STUCK] < room)
#define OWES_FREE (CREDIT_FREE(my_tail[FREE]) > my_limit[FREE])
#define OWES_STUCK (CREDIT_STUCK(my_tail[STUCK], room) > my_limit[STUCK])

active proctype Consumer()
{
	byte my_tail[2], my_limit[2];
	byte lane = NO_LANE, seen_head, seen_room;
	bool grants, movable, ring;

restart:
	atomic { limit_buffer[0] == IN_MEMORY && limit_buffer[1] == IN_MEMORY &&
	    consumer_arm_buffer == IN_MEMORY ->
		my_tail[0] = tail[0]; my_tail[1] = tail[1];
		my_limit[0] = limit[0]; my_limit[1] = limit[1];
		consumer_rang = false; consumer_arm = 0;
		lane = NO_LANE; seen_head = 0; seen_room = 0; grants = false;
		movable = false; ring = false; event();
		producer_bell = (FAULT == NO_BELL_AT_ATTACH ->
		    producer_bell : true) }
	do
	:: my_tail[FREE] == FREE_RECORDS && my_tail[STUCK] == STUCK_RECORDS ->
		break
	:: else ->
		if
		:: HAS_FREE -> lane = FREE
		:: HAS_STUCK -> lane = STUCK
		:: OWES_FREE -> lane = FREE; grants = true
		:: OWES_STUCK -> lane = STUCK; grants = true
		:: !HAS_FREE && !HAS_STUCK && !OWES_FREE && !OWES_STUCK ->
			lane = NO_LANE
		fi;
		if
		:: lane != NO_LANE && !grants ->
			/* Hand over, then release. */
			maybe_die();
			atomic { my_tail[lane] = my_tail[lane] + 1;
				tail[lane] = my_tail[lane]; event() }
		:: grants ->
			/* Grant, fence, look at the arm, ring once. */
			atomic { limit_buffer[lane] == IN_MEMORY ->
				my_limit[lane] = (lane == FREE ->
				    CREDIT_FREE(my_tail[FREE]) :
				    CREDIT_STUCK(my_tail[STUCK], room));
				limit_buffer[lane] = my_limit[lane]; event() };
			maybe_die();
			CONSUMER_FENCE;
			atomic { ring = producer_arm && !consumer_rang &&
			    !(FAULT == NO_BELL_FOR_CREDIT && lane == STUCK &&
			    my_limit[STUCK] == room + OVERDRAFT);
				consumer_rang = consumer_rang || ring };
			if
			:: ring ->
				maybe_die();
				atomic { producer_bell = true; ring = false }
			:: else
			fi
		:: else ->
			/* Arm, fence, look again at all that can move. */
			atomic { consumer_arm_buffer == IN_MEMORY ->
				consumer_arm_buffer = 1; consumer_arms++;
				assert(consumer_arms <= ARMS_MAX) };
			maybe_die();
			CONSUMER_FENCE;
			movable = FAULT != NO_RECHECK && HAS_FREE;
			seen_head = head[STUCK];
			seen_room = room;
			movable = movable || (FAULT != NO_RECHECK &&
			    FAULT != RECHECKS_ONE_LANE &&
			    ((seen_head > my_tail[STUCK] &&
			    (my_tail[STUCK] < seen_room ||
			    FAULT == RECHECKS_NON_EMPTY)) ||
			    CREDIT_STUCK(my_tail[STUCK], seen_room) >
			    my_limit[STUCK]));
			if
			:: movable
			:: else ->
end_asleep:			atomic { consumer_bell ->
					consumer_bell = false };
				if
				:: FAULT == REUSES_ARM && !HAS_FREE &&
				    !HAS_STUCK && !OWES_STUCK ->
					goto end_asleep
				:: else
				fi
			fi;
			maybe_die();
			atomic { consumer_arm_buffer == IN_MEMORY ->
				consumer_arm_buffer = 0; movable = false;
				seen_head = 0; seen_room = 0 }
		fi;
		atomic { lane = NO_LANE; grants = false };
		maybe_die()
	od;
	consumer_is_done = true
}

/* Where lane STUCK leads: gives room once a record, or stops for ever. */
active proctype Destination()
{
	byte given;
	bool ring;

	do
	:: given == STUCK_RECORDS -> break
	:: break
	:: given < STUCK_RECORDS ->
		atomic { given++; room_buffer = given; event() };
		DESTINATION_FENCE;
		atomic { ring = consumer_arm && !destination_rang &&
		    FAULT != DESTINATION_SILENT;
			destination_rang = destination_rang || ring };
		if
		:: ring -> atomic { consumer_bell = true; ring = false }
		:: else
		fi
	od
}

/* Runs when nobody else can: then nothing may be left that could move. */
active proctype Monitor()
{
end:	atomic { timeout ->
		assert(head[FREE] == tail[FREE]);
		assert(head[STUCK] == tail[STUCK] || tail[STUCK] >= room);
		assert(consumer_is_done ||
		    CREDIT_FREE(tail[FREE]) <= limit[FREE]);
		assert(consumer_is_done ||
		    CREDIT_STUCK(tail[STUCK], room) <= limit[STUCK]);
		assert(!CAN_WRITE_FREE(head[FREE]));
		assert(!CAN_WRITE_STUCK(head[STUCK]));
		assert(room < STUCK_RECORDS || consumer_is_done) }
}
