/* SPDX-License-Identifier: Apache-2.0 */

/*
 * growth - one lane grows, shrinks and gives memory back.
 *
 * Class k has SIZE(k) cells at an offset of its own; a record or a SWITCH is
 * one cell.  Position p of class k lies in cell OFFSET(k) + p % SIZE(k).
 * Head and tail are one word each: position and class.  The Producer writes
 * batches of one or two records, goes up when a class is full (over a class
 * that is used, and again before anything is released), goes down again also
 * while records wait, and punches regions that the tail has left.  Memory
 * may be refused.  The Consumer reads ahead and releases when it likes, or never.
 * Each of them dies at any step, CRASHES times in all; the Producer finds its
 * regions again by reading from the tail to the head.
 *
 * Left out: lengths and pads (a PAD is a record that nobody wants), sleep and
 * wake (lanes.pml), memory order (head and tail are release stores).
 *
 * Shown: no committed and unreleased cell is ever written or punched; the
 * Consumer finds at each position what was committed there, ends in the
 * head's class, and can always come to the head; the scan ends at the head;
 * a record begins below the limit, also behind a SWITCH, which is free.
 *
 * quick: -DPOSITIONS=6 -DCRASHES=1
 * full: -DPOSITIONS=7 -DCRASHES=1
 */

#define NO_FAULT 0
#define ENTERS_USED 1         /* FAULT: enters a region with unreleased cells */
#define PUNCHES_EARLY 2       /* FAULT: punches what the tail has not left */
#define NO_SPARE 3            /* FAULT: keeps no cell for the SWITCH */
#define FORGETS_REGIONS 4     /* FAULT: recovery knows the head's class alone */
#define STALE_TAIL_CLASS 5    /* FAULT: the tail keeps the class it came from */
#define PARTED_WORD 6         /* FAULT: head and class are two stores */
#define FREE_AFTER_SWITCH 7   /* FAULT: none needs credit behind a SWITCH */
#define FREE_AFTER_SHRINK 8   /* FAULT: a lane that shrank has credit anew */
#ifndef FAULT
#define FAULT NO_FAULT
#endif

#define CLASSES 3
#define CELLS 14 /* of all classes */
#define SIZE(class) (2 << (class))
#define OFFSET(class) ((2 << (class)) - 2)
#define CELL(position, class) (OFFSET(class) + (position) % SIZE(class))
#define GRANT 7 /* most that the limit is ahead of the tail: into class 2 */
#define BATCH 2
#define NOT_LEFT 255
#define UNKNOWN 255

/* A cell names its position, so that a stale one is never taken for a new. */
#define HOLE 0
#define DATA(position) ((position) * 4 + 4)
#define SWITCH(position, class) ((position) * 4 + 5 + (class))
#define IS_SWITCH(cell, position) \
	((cell) > DATA(position) && (cell) <= DATA(position) + CLASSES)
#define CLASS_IN(cell, position) ((cell) - DATA(position) - 1)

byte memory[CELLS];
byte head, head_class, tail, tail_class; /* two words */
byte limit;
bool is_kept[CELLS]; /* ghost: committed and not released */
byte crashes = CRASHES;

inline maybe_die()
{
	if
	:: atomic { crashes > 0 -> crashes--; goto restart }
	:: skip
	fi
}

/* Ghost: what lies between the tail and the head is to be kept. */
inline keep_unreleased(at, in)
{
	at = 0;
	do
	:: at < CELLS -> is_kept[at] = false; at++
	:: else -> break
	od;
	at = tail;
	in = tail_class;
	do
	:: at < head ->
		is_kept[CELL(at, in)] = true;
		in = (IS_SWITCH(memory[CELL(at, in)], at) ->
		    CLASS_IN(memory[CELL(at, in)], at) : in);
		at++
	:: else -> break
	od;
	at = 0;
	in = 0
}

/* ---- the producer ------------------------------------------------------- */

#define BEGIN(class) (entered[class] > seen_tail -> entered[class] : seen_tail)
#define FILL (position - BEGIN(class))
#define HAS_ROOM (FILL + 1 + (FAULT == NO_SPARE -> 0 : 1) <= SIZE(class))
#define HAS_CREDIT (position < limit)
#define IS_UNUSED(k) (!used[k] || FAULT == ENTERS_USED)

inline use(new_class)
{
	class = new_class;
	used[class] = true;
	entered[class] = position;
	left[class] = NOT_LEFT
}

/* From the tail to the head: which regions are used, and from where on. */
inline recover()
{
	target = 0;
	do
	:: target < CLASSES ->
		used[target] = false; entered[target] = 0; left[target] = 0;
		target++
	:: else -> break
	od;
	position = tail;
	use(tail_class);
	do
	:: position < head ->
		cell = memory[CELL(position, class)];
		assert(cell == DATA(position) || IS_SWITCH(cell, position));
		position++;
		if
		:: IS_SWITCH(cell, position - 1) ->
			left[class] = position;
			use(CLASS_IN(cell, position - 1))
		:: else
		fi
	:: else -> break
	od;
	assert(class == head_class);
	target = 0;
	do
	:: target < CLASSES && FAULT == FORGETS_REGIONS ->
		used[target] = target == class; target++
	:: else -> break
	od;
	allocated[class] = true;
	put = 0; is_free = false; target = 0; cell = 0; seen_tail = tail
}

/* Regions that the tail has left are unused. */
inline read_tail()
{
	seen_tail = tail;
	target = 0;
	do
	:: target < CLASSES ->
		used[target] = used[target] &&
		    !(target != class && left[target] <= seen_tail);
		target++
	:: else -> break
	od;
	target = 0
}

inline write(value)
{
	assert(!is_kept[CELL(position, class)]);
	memory[CELL(position, class)] = value
}

/* A SWITCH to `target`, written and not committed. */
inline enter_target()
{
	allocated[target] = true;
	maybe_die();
	atomic { write(SWITCH(position, target)) };
	maybe_die();
	d_step {
		position++;
		left[class] = position;
		use(target);
		put++;
		target = 0
	}
}

inline punch(region)
{
	cell = OFFSET(region);
	do
	:: cell < OFFSET(region) + SIZE(region) ->
		assert(!is_kept[cell]);
		memory[cell] = HOLE;
		cell++
	:: else -> break
	od;
	allocated[region] = false;
	cell = 0
}

/* One store of position and class makes all that was put exist. */
inline commit()
{
	if
	:: FAULT == PARTED_WORD -> head = position; maybe_die()
	:: else
	fi;
	d_step {
		head = position;
		head_class = class;
		put = 0;
		keep_unreleased(target, cell)
	};
	maybe_die()
}

active proctype Producer()
{
	byte position, class, put, seen_tail;
	byte target, cell;
	byte entered[CLASSES], left[CLASSES];
	bool used[CLASSES], allocated[CLASSES];
	bool is_free; /* the next record: its credit was seen before a SWITCH */

restart:
	skip;
	d_step { recover() };
	do
	:: position >= POSITIONS -> break
	:: else ->
		d_step { read_tail() };
		if
		:: HAS_ROOM && (HAS_CREDIT || is_free) ->
			atomic { write(DATA(position));
				position++; put++; is_free = false };
			maybe_die()
		:: !HAS_ROOM && FILL + 1 <= SIZE(class) &&
		    class < CLASSES - 1 &&
		    (HAS_CREDIT || FAULT == FREE_AFTER_SWITCH) ->
			if
			:: target = class + 1
			:: class + 2 < CLASSES -> target = class + 2
			fi;
			if
			:: IS_UNUSED(target) ->
				enter_target();
				is_free = true
			:: target = 0 /* used, or no memory: stay */
			fi
		:: !HAS_ROOM && FAULT == NO_SPARE && class < CLASSES - 1 ->
			/* No cell is left: it takes the oldest. */
			target = class + 1;
			if
			:: IS_UNUSED(target) -> enter_target()
			:: target = 0
			fi
		:: class > 0 && put == 0 && FILL + 1 <= SIZE(class) &&
		    IS_UNUSED(class - 1) ->
			target = class - 1;
			enter_target();
			is_free = FAULT == FREE_AFTER_SHRINK
		:: put > 0
		:: put == 0 ->
			do
			:: target < CLASSES ->
				if
				:: allocated[target] && target != class &&
				    (!used[target] || FAULT == PUNCHES_EARLY) ->
					d_step { punch(target) };
					maybe_die()
				:: else
				fi;
				target++
			:: else -> break
			od;
			target = 0
		fi;
		if
		:: put > 0 && (!is_free || position == POSITIONS) -> commit()
		:: (put < BATCH || is_free) && position < POSITIONS
		fi
	od;
	if
	:: put > 0 -> commit()
	:: else
	fi
}

/* ---- the consumer ------------------------------------------------------- */

active proctype Consumer()
{
	byte position, class, cell, at, in;
	byte finished; /* the end of the last record read */

restart:
	skip;
	atomic { position = tail; class = tail_class; cell = 0;
		finished = (tail == 0 -> 0 : UNKNOWN) };
	do
	:: atomic { position == head && position >= POSITIONS &&
	    tail == position -> assert(class == head_class); break }
	:: position < head ->
		cell = memory[CELL(position, class)];
		assert(cell == DATA(position) || IS_SWITCH(cell, position));
		atomic {
			if
			:: IS_SWITCH(cell, position) ->
				class = CLASS_IN(cell, position)
			:: else ->
				assert(finished == UNKNOWN ||
				    finished < limit);
				finished = position + 1
			fi;
			position++;
			cell = 0;
			assert(position < head || FAULT == PARTED_WORD ||
			    class == head_class)
		};
		maybe_die()
	:: tail < position ->
		d_step {
			tail = position;
			tail_class = (FAULT == STALE_TAIL_CLASS &&
			    memory[CELL(position - 1, tail_class)] !=
			    DATA(position - 1) -> tail_class : class);
			keep_unreleased(at, in)
		};
		maybe_die()
	:: limit < tail + 1 -> limit = tail + 1; maybe_die()
	:: limit < tail + GRANT -> limit = tail + GRANT; maybe_die()
	od
}
