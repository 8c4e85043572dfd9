/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/alarms.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/bug.h"

#define FIRST_SIZE 64

void
alarms_fini(struct alarms *alarms)
{
	free(alarms->heap);
	*alarms = (struct alarms){ 0 };
}

static void
put_at(struct alarms *alarms, struct alarm *alarm, uint32_t place)
{
	alarms->heap[place] = alarm;
	alarm->place = place;
}

static void
move_up(struct alarms *alarms, struct alarm *alarm, uint32_t place)
{
	struct alarm *parent;

	while (place > 1) {
		parent = alarms->heap[place / 2];
		if (parent->when_ns <= alarm->when_ns)
			break;
		put_at(alarms, parent, place);
		place /= 2;
	}
	put_at(alarms, alarm, place);
}

static void
move_down(struct alarms *alarms, struct alarm *alarm, uint32_t place)
{
	struct alarm *child;
	uint32_t next;

	while ((next = place * 2) <= alarms->count) {
		if (next < alarms->count &&
		    alarms->heap[next + 1]->when_ns <
			alarms->heap[next]->when_ns)
			next++;
		child = alarms->heap[next];
		if (alarm->when_ns <= child->when_ns)
			break;
		put_at(alarms, child, place);
		place = next;
	}
	put_at(alarms, alarm, place);
}

static int
make_room(struct alarms *alarms)
{
	struct alarm **heap;
	uint32_t size;

	if (alarms->count + 1 < alarms->size)
		return 0;
	size = alarms->size == 0 ? FIRST_SIZE : alarms->size * 2;
	heap = realloc(alarms->heap, size * sizeof(*heap));
	if (heap == NULL)
		return -ENOMEM;
	alarms->heap = heap;
	alarms->size = size;
	return 0;
}

int
alarms_set(struct alarms *alarms, struct alarm *alarm, uint64_t when_ns)
{
	int err;

	alarms_stop(alarms, alarm);
	err = make_room(alarms);
	if (err != 0)
		return err;
	alarm->when_ns = when_ns;
	alarms->count++;
	move_up(alarms, alarm, alarms->count);
	return 0;
}

void
alarms_stop(struct alarms *alarms, struct alarm *alarm)
{
	uint32_t place = alarm->place;
	struct alarm *last;

	if (place == 0)
		return;
	BUG_ON(alarms->heap[place] != alarm);
	last = alarms->heap[alarms->count--];
	alarm->place = 0;
	if (last == alarm)
		return;
	if (place > 1 && alarms->heap[place / 2]->when_ns > last->when_ns)
		move_up(alarms, last, place);
	else
		move_down(alarms, last, place);
}

uint64_t
alarms_next_ns(const struct alarms *alarms)
{
	return alarms->count == 0 ? UINT64_MAX : alarms->heap[1]->when_ns;
}

unsigned
alarms_fire(struct alarms *alarms, uint64_t now_ns)
{
	struct alarm *alarm;
	unsigned fired = 0;

	while (alarms->count != 0 && alarms->heap[1]->when_ns <= now_ns) {
		alarm = alarms->heap[1];
		alarms_stop(alarms, alarm);
		alarm->fire(alarm);
		fired++;
	}
	return fired;
}
