/* SPDX-License-Identifier: Apache-2.0 */

/*
 * handover - the broker moves records from input lanes to rings, and dies.
 *
 * Two input lanes hold RECORDS committed records each.  Every record goes to
 * both output rings, but the last one of lane 1 to ring 0 alone.  The Broker
 * takes batches in any order of lanes, all or nothing on room; writes each
 * output uncommitted; for each output fills the `forwarded` slot that does
 * not count, of each lane touched, then commits the output by its head; then
 * come the receipts, then the tails of the lanes.  It dies between any two of
 * these stores, CRASHES times.  Readers empty the outputs when they like.
 *
 * A slot says: "when the head is at least HEAD, SEQUENCE of that lane is in
 * this ring".  The slot with the greatest head that is not beyond the ring's
 * counts; slots beyond it are erased before anything is written.
 *
 * Left out: memory order (a dead process' stores stay in order: all are
 * release), payloads, sleep and wake (lanes.pml), classes (a SWITCH moves an
 * output's head without a record: it is here).
 *
 * Shown: each ring gets each record exactly once and in order; a receipt is
 * given at least once and only when all rings have the record; at the end all
 * is delivered.
 *
 * quick: -DRECORDS=1 -DCRASHES=2
 * full: -DRECORDS=2 -DCRASHES=1
 */

#define NO_FAULT 0
#define NO_ERASE 1       /* FAULT: slots of a commit that never was stay */
#define ONE_SLOT 2       /* FAULT: overwrites the slot that counts */
#define ANY_SLOT 3       /* FAULT: slots in turn, beginning anew after death */
#define TAIL_FIRST 4     /* FAULT: the tail moves before the hand-over */
#define RECEIPT_FIRST 5  /* FAULT: the receipt goes out before the hand-over */
#define SLOT_AFTER_HEAD 6 /* FAULT: the slot is filled after the commit */
#ifndef FAULT
#define FAULT NO_FAULT
#endif

#define BATCH 2
#define CAPACITY 3

typedef slot { byte head; byte sequence };
slot slots[8];

#define INDEX(ring, lane) ((ring) * 2 + (lane))
#define SLOT(ring, lane, i) slots[INDEX(ring, lane) * 2 + (i)]
#define GOES(ring, lane, sequence) \
	(!((ring) == 1 && (lane) == 1 && (sequence) == RECORDS))

byte head[2], output_tail[2]; /* of the rings; a record or SWITCH is 1 */
byte receipt[2], tail[2];     /* of the input lanes */
byte arrived[4];              /* ghost: last sequence committed, INDEX() */
byte crashes = CRASHES;

inline maybe_die()
{
	if
	:: atomic { crashes > 0 -> crashes--; goto restart }
	:: skip
	fi
}

/* On a tie, as in a new ring, slot 0 counts. */
#define COUNTS(ring, lane) \
	((SLOT(ring, lane, 1).head <= head[ring] && \
	(SLOT(ring, lane, 0).head > head[ring] || \
	SLOT(ring, lane, 1).head > SLOT(ring, lane, 0).head)) -> 1 : 0)
#define HAS_ROOM(ring) (end[ring] - output_tail[ring] < CAPACITY)

/* What is in the rings already, by the slots that count. */
inline recover()
{
	taken = 0; i = 0; sequence = 0; ring = 0;
	do
	:: ring < 2 ->
		end[ring] = head[ring];
		read[ring] = tail[ring]; /* here: of input lane `ring` */
		lane = 0;
		do
		:: lane < 2 ->
			i = COUNTS(ring, lane);
			forwarded[INDEX(ring, lane)] =
			    (SLOT(ring, lane, i).head <= head[ring] ->
			    SLOT(ring, lane, i).sequence : 0);
			next[INDEX(ring, lane)] = forwarded[INDEX(ring, lane)];
			turn[INDEX(ring, lane)] = 0;
			lane++
		:: else -> break
		od;
		ring++
	:: else -> break
	od;
	ring = 0; lane = 0; i = 0
}

/* Before anything is written: else they come true when the head gets there. */
inline erase_slots()
{
	do
	:: i < 8 ->
		if
		:: slots[i].head > head[i / 4] && FAULT != NO_ERASE ->
			slots[i].head = 0;
			maybe_die();
			slots[i].sequence = 0;
			maybe_die()
		:: else
		fi;
		i++
	:: else -> break
	od;
	i = 0
}

/* The next record of `lane` into all rings that lack it, uncommitted. */
inline take()
{
	read[lane] = read[lane] + 1;
	sequence = read[lane];
	ring = 0;
	do
	:: ring < 2 ->
		if
		:: GOES(ring, lane, sequence) &&
		    sequence > forwarded[INDEX(ring, lane)] ->
			end[ring] = end[ring] + 1;
			next[INDEX(ring, lane)] = sequence
		:: else
		fi;
		ring++
	:: else -> break
	od;
	taken++;
	ring = 0; lane = 0; sequence = 0
}

/* Fill the slots of each lane that has something new in `ring`. */
inline fill_slots()
{
	lane = 0;
	do
	:: lane < 2 ->
		if
		:: next[INDEX(ring, lane)] > before[lane] ->
			i = (FAULT == ONE_SLOT -> 0 :
			    (FAULT == ANY_SLOT -> turn[INDEX(ring, lane)] :
			    1 - COUNTS(ring, lane)));
			turn[INDEX(ring, lane)] = (FAULT == ANY_SLOT ->
			    1 - turn[INDEX(ring, lane)] : 0);
			SLOT(ring, lane, i).head = end[ring];
			maybe_die();
			SLOT(ring, lane, i).sequence = next[INDEX(ring, lane)];
			maybe_die()
		:: else
		fi;
		lane++
	:: else -> break
	od;
	lane = 0; i = 0
}

/* The one store that commits, and what it must not do. */
inline commit_ring()
{
	assert(forwarded[INDEX(ring, 0)] == arrived[INDEX(ring, 0)]);
	assert(forwarded[INDEX(ring, 1)] == arrived[INDEX(ring, 1)]);
	assert(next[INDEX(ring, 0)] >= arrived[INDEX(ring, 0)]);
	assert(next[INDEX(ring, 1)] >= arrived[INDEX(ring, 1)]);
	head[ring] = end[ring];
	arrived[INDEX(ring, 0)] = next[INDEX(ring, 0)];
	arrived[INDEX(ring, 1)] = next[INDEX(ring, 1)];
	before[0] = forwarded[INDEX(ring, 0)];
	before[1] = forwarded[INDEX(ring, 1)];
	forwarded[INDEX(ring, 0)] = next[INDEX(ring, 0)];
	forwarded[INDEX(ring, 1)] = next[INDEX(ring, 1)]
}

inline hand_over()
{
	ring = 0;
	do
	:: ring < 2 ->
		if
		:: end[ring] != head[ring] ->
			before[0] = forwarded[INDEX(ring, 0)];
			before[1] = forwarded[INDEX(ring, 1)];
			if
			:: FAULT != SLOT_AFTER_HEAD -> fill_slots()
			:: else
			fi;
			d_step { commit_ring() };
			maybe_die();
			if
			:: FAULT == SLOT_AFTER_HEAD -> fill_slots()
			:: else
			fi;
			before[0] = 0; before[1] = 0
		:: else
		fi;
		ring++
	:: else -> break
	od;
	ring = 0
}

#define IS_EVERYWHERE(lane, sequence) \
	(arrived[INDEX(0, lane)] >= sequence && \
	arrived[INDEX(1, lane)] >= sequence - \
	(GOES(1, lane, sequence) -> 0 : 1))

inline give_receipt()
{
	assert(IS_EVERYWHERE(lane, read[lane]));
	receipt[lane] = (receipt[lane] < read[lane] ->
	    read[lane] : receipt[lane])
}

inline move_tails()
{
	lane = 0;
	do
	:: lane < 2 && read[lane] > tail[lane] ->
		d_step { give_receipt() };
		maybe_die();
		tail[lane] = read[lane];
		maybe_die();
		lane++
	:: lane < 2 && read[lane] <= tail[lane] -> lane++
	:: lane == 2 -> break
	od;
	lane = 0
}

active proctype Broker()
{
	byte read[2];      /* taken so far from an input lane */
	byte end[2];       /* the head of a ring that is to be */
	byte forwarded[4]; /* last sequence committed, INDEX() */
	byte next[4];      /* the same with what is uncommitted */
	byte before[2];
	byte ring, lane, i, sequence, taken;
	bit turn[4];

restart:
	skip;
	d_step { recover() };
	erase_slots();
	do
	:: atomic { tail[0] == RECORDS && tail[1] == RECORDS -> break }
	:: else ->
		do
		:: taken < BATCH && read[0] < RECORDS && HAS_ROOM(0) &&
		    HAS_ROOM(1) ->
			d_step { lane = 0; take() };
			maybe_die()
		:: taken < BATCH && read[1] < RECORDS && HAS_ROOM(0) &&
		    HAS_ROOM(1) ->
			d_step { lane = 1; take() };
			maybe_die()
		:: taken == 0 && end[0] == head[0] && HAS_ROOM(0) &&
		    end[0] < RECORDS * 2 + 1 ->
			end[0] = end[0] + 1; /* a SWITCH, without a record */
			break
		:: taken > 0 -> break
		:: taken == 0 && !(HAS_ROOM(0) && HAS_ROOM(1)) -> break
		od;
		if
		:: FAULT == TAIL_FIRST ->
			tail[0] = read[0]; maybe_die();
			tail[1] = read[1]; maybe_die()
		:: FAULT == RECEIPT_FIRST && read[0] > receipt[0] ->
			d_step { lane = 0; give_receipt() }
		:: else
		fi;
		hand_over();
		move_tails();
		taken = 0
	od;
	assert(IS_EVERYWHERE(0, RECORDS) && IS_EVERYWHERE(1, RECORDS));
	assert(receipt[0] == RECORDS && receipt[1] == RECORDS)
}

active [2] proctype Reader()
{
	byte ring = _pid - 1;

end:	do
	:: output_tail[ring] < head[ring] -> output_tail[ring] = head[ring]
	od
}
