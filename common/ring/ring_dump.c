/* SPDX-License-Identifier: Apache-2.0 */

#include "common/ring/ring_dump.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/ring/ring_dump_lane.h"
#include "common/ring/ring_dump_search.h"
#include "common/ring/ring_inspect_scan.h"

/* Tries to read a lane whose consumer releases meanwhile. */
#define TAKE_TRIES 8

/* A dump that is being made; its records are a circle until it is done. */
struct work {
	struct ring_dump_lane *lane;
	const struct ring_dump_options *options;
	struct ring_dump_ends ends;
	struct ring_dump_place reach; /* where the producer writes next */
	struct ring_dump dump;
	size_t room;  /* of dump.record */
	size_t first; /* the oldest record, once the circle is full */
	size_t limit;
	uint64_t steps;
	bool was_overwritten; /* what the search had found */
	int error;
};

/* Which records a walk brings. */
struct walk {
	struct ring_dump_place from;
	struct ring_dump_place to;
	uint64_t sequence; /* that the first one has, or RING_DUMP_ANY */
	bool is_released, is_found;
};

/* ---- open ---------------------------------------------------------------- */

static bool
lane_is_valid(int fd, struct ring_lane_header *out_header)
{
	return pread(fd, out_header, sizeof(*out_header), 0) ==
	    sizeof(*out_header) &&
	    out_header->magic == RING_LANE_MAGIC &&
	    out_header->lane < RING_LANES &&
	    out_header->min_shift >= RING_MIN_SHIFT_LOW &&
	    out_header->min_shift <= RING_MIN_SHIFT_HIGH &&
	    out_header->classes >= 1 && out_header->classes <= RING_CLASSES;
}

static int
copy_fd(int fd)
{
	return fd == -1 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

int
ring_dump_open_memory(int lane_fd, int producer_fd, int consumer_fd,
    struct ring_dump_lane **out_lane)
{
	struct ring_lane_header header;
	struct ring_dump_lane *lane;

	if (!lane_is_valid(lane_fd, &header))
		return -EBADMSG;
	lane = calloc(1, sizeof(*lane));
	if (lane == NULL)
		return -ENOMEM;
	*lane = (struct ring_dump_lane){
		.data_fd = copy_fd(lane_fd),
		.producer_fd = copy_fd(producer_fd),
		.consumer_fd = copy_fd(consumer_fd),
		.lane = header.lane,
		.min_shift = header.min_shift,
		.classes = header.classes,
		.window = malloc(RING_DUMP_WINDOW),
	};
	if (lane->window == NULL || lane->data_fd == -1 ||
	    lane->producer_fd == -1 ||
	    (consumer_fd != -1 && lane->consumer_fd == -1)) {
		ring_dump_close(lane);
		return -ENOMEM;
	}
	*out_lane = lane;
	return 0;
}

void
ring_dump_close(struct ring_dump_lane *lane)
{
	if (lane == NULL)
		return;
	if (lane->data_fd != -1)
		close(lane->data_fd);
	if (lane->producer_fd != -1)
		close(lane->producer_fd);
	if (lane->consumer_fd != -1)
		close(lane->consumer_fd);
	free(lane->window);
	free(lane);
}

/* The side memfd of a link that the broker writes, or the other one. */
static int
find_side(
    const struct ring_scan *scan, const struct ring_view *view, bool is_broker)
{
	for (size_t i = 0; i < scan->sides; i++) {
		const struct ring_side_header *side = &scan->side[i].header;

		if (memcmp(side->instance, view->instance,
			sizeof(side->instance)) == 0 &&
		    side->link == view->link &&
		    (side->role == RING_ROLE_BROKER) == is_broker)
			return scan->side[i].fd;
	}
	return -1;
}

static int
find_lane(const struct ring_scan *scan, const struct ring_view *view,
    bool from_broker)
{
	for (size_t i = 0; i < scan->lanes; i++) {
		const struct ring_lane_header *lane = &scan->lane[i].header;

		if (memcmp(lane->instance, view->instance,
			sizeof(lane->instance)) == 0 &&
		    lane->link == view->link && lane->lane == view->lane_id &&
		    (lane->producer_role == RING_ROLE_BROKER) == from_broker)
			return scan->lane[i].fd;
	}
	return -1;
}

int
ring_dump_open(const struct ring_view *view, struct ring_dump_lane **out_lane)
{
	bool from_broker = view->producer->role == RING_ROLE_BROKER;
	struct ring_scan scan;
	int err, lane_fd, producer_fd;

	err = ring_scan_take(&scan);
	if (err == 0) {
		lane_fd = find_lane(&scan, view, from_broker);
		producer_fd = find_side(&scan, view, from_broker);
		err = lane_fd == -1 || producer_fd == -1
		    ? -ENOENT
		    : ring_dump_open_memory(lane_fd, producer_fd,
			  find_side(&scan, view, !from_broker), out_lane);
	}
	ring_scan_free(&scan);
	return err;
}

/* ---- the list ------------------------------------------------------------ */

static bool
make_room(struct work *work)
{
	struct ring_dump_record *grown;
	size_t room = work->room == 0 ? 256 : 2 * work->room;

	if (work->dump.count < work->room)
		return true;
	grown = realloc(work->dump.record, room * sizeof(*grown));
	if (grown == NULL) {
		work->error = -ENOMEM;
		return false;
	}
	work->dump.record = grown;
	work->room = room;
	return true;
}

static void
add_record(struct work *work, const struct ring_dump_record *record)
{
	struct ring_dump *dump = &work->dump;

	if (record->is_released)
		dump->released++;
	else
		dump->waiting++;
	if (dump->count < work->limit) {
		if (make_room(work))
			dump->record[dump->count++] = *record;
		return;
	}
	dump->left_out++;
	if (work->options->keep_oldest)
		return;
	dump->record[work->first] = *record;
	work->first = (work->first + 1) % work->limit;
}

static void
reverse(struct ring_dump_record *record, size_t begin, size_t end)
{
	struct ring_dump_record swap;

	while (begin + 1 < end) {
		swap = record[begin];
		record[begin++] = record[--end];
		record[end] = swap;
	}
}

/* The oldest record to the front. */
static void
straighten(struct work *work)
{
	struct ring_dump *dump = &work->dump;

	reverse(dump->record, 0, work->first);
	reverse(dump->record, work->first, dump->count);
	reverse(dump->record, 0, dump->count);
	work->first = 0;
}

/* ---- walking ------------------------------------------------------------- */

static void
set_fault(struct work *work, const char *text, struct ring_dump_place at)
{
	struct ring_dump_fault *fault = &work->dump.fault;

	if (fault->text != NULL)
		return;
	fault->text = text;
	fault->position = at.position;
	fault->class = at.class;
	fault->has_place = ring_dump_header(work->lane, at, &fault->header);
}

/* The record at `at`; NULL and the place after it, or what is wrong. */
static const char *
step(struct work *work, struct walk *walk, struct ring_dump_place at,
    struct ring_dump_place *out_after)
{
	struct ring_dump_record record = {
		.position = at.position,
		.class = at.class,
		.is_released = walk->is_released,
		.is_found = walk->is_found,
	};
	const char *text;

	if (!ring_dump_header(work->lane, at, &record.header))
		return "the memory cannot be read";
	text = ring_dump_check(
	    work->lane, at, walk->to.position, &record.header, out_after);
	if (text != NULL || record.header.type != RING_DATA)
		return text;
	if (walk->sequence != RING_DUMP_ANY &&
	    record.header.sequence != walk->sequence)
		return "a record is out of sequence";
	walk->sequence = record.header.sequence + 1;
	if (walk->is_released &&
	    ring_dump_is_at_risk(work->lane, work->reach, &work->ends, at))
		work->dump.overtaken++;
	else
		add_record(work, &record);
	return NULL;
}

/* From record to record.  Returns where it ended: at `to`, if all is well. */
static struct ring_dump_place
walk_over(struct work *work, struct walk *walk)
{
	struct ring_dump_place at = walk->from;
	struct ring_dump_place after;
	const char *text;

	while (work->error == 0 && at.position < walk->to.position) {
		if (work->steps++ == RING_DUMP_STEPS) {
			work->dump.is_cut = true;
			return at;
		}
		text = step(work, walk, at, &after);
		if (text != NULL && walk->is_released) {
			/* It was sound when it was found: no damage. */
			work->was_overwritten = true;
			return at;
		}
		if (text != NULL) {
			set_fault(work, text, at);
			return at;
		}
		at = after;
	}
	if (at.position == walk->to.position && at.class != walk->to.class &&
	    !walk->is_released)
		set_fault(work, "the head is not in its size class", at);
	return at;
}

/* The sequence after one that may be unknown. */
static uint64_t
follow(uint64_t sequence)
{
	return sequence == RING_DUMP_ANY ? RING_DUMP_ANY : sequence + 1;
}

/* The sequence of the first record at the tail or after it. */
static uint64_t
sequence_at_tail(struct work *work)
{
	const struct ring_dump_ends *ends = &work->ends;
	struct ring_dump_place at = ends->tail;
	struct ring_record record;

	while (at.position < ends->head.position) {
		if (!ring_dump_header(work->lane, at, &record) ||
		    ring_dump_check(work->lane, at, ends->head.position,
			&record, &at) != NULL)
			return RING_DUMP_ANY;
		if (record.type == RING_DATA)
			return record.sequence;
		if (work->steps++ == RING_DUMP_STEPS)
			return RING_DUMP_ANY;
	}
	return follow(ends->sequence);
}

static void
find_released(struct work *work)
{
	const struct ring_dump_search search = {
		.end = work->ends.tail,
		.after = sequence_at_tail(work),
	};
	struct walk walk = {
		.to = search.end,
		.sequence = RING_DUMP_ANY,
		.is_released = true,
		.is_found = true,
	};
	bool is_cut = false;

	work->error =
	    ring_dump_search(work->lane, &search, &walk.from, &is_cut);
	if (work->error != 0)
		return;
	work->dump.is_cut |= is_cut;
	/* Without it nobody knows where the producer writes. */
	work->was_overwritten = work->ends.sequence == RING_DUMP_ANY;
	work->reach = ring_dump_reach(work->lane, &work->ends);
	walk_over(work, &walk);
}

/* From `lowest` on, where damage is, what leads to the head. */
static void
find_behind(struct work *work, uint64_t lowest)
{
	const struct ring_dump_search search = {
		.end = work->ends.head,
		.after = follow(work->ends.sequence),
		.lowest = lowest,
	};
	struct walk walk = {
		.to = search.end,
		.sequence = RING_DUMP_ANY,
		.is_found = true,
	};

	if (work->error != 0)
		return;
	work->error = ring_dump_search(
	    work->lane, &search, &walk.from, &work->dump.is_cut);
	if (work->error == 0)
		walk_over(work, &walk);
}

static void
walk_waiting(struct work *work)
{
	struct walk walk = {
		.from = work->ends.tail,
		.to = work->ends.head,
		.sequence = RING_DUMP_ANY,
	};
	struct ring_dump_place ended = walk_over(work, &walk);

	if (ended.position < walk.to.position && !work->dump.is_cut)
		find_behind(work, ended.position);
}

/* ---- taking -------------------------------------------------------------- */

/* Forget what an attempt brought. */
static void
begin(struct work *work)
{
	struct ring_dump_record *record = work->dump.record;

	work->dump = (struct ring_dump){ .record = record };
	work->first = 0;
	work->steps = 0;
	work->was_overwritten = false;
	ring_dump_forget(work->lane);
}

static void
attempt(struct work *work)
{
	const char *text;

	begin(work);
	work->ends = (struct ring_dump_ends){ .sequence = 0 };
	text = ring_dump_read_ends(work->lane, &work->ends);
	work->lane->taken = work->ends;
	work->dump.head =
	    RING_WORD(work->ends.head.position, work->ends.head.class);
	work->dump.tail =
	    RING_WORD(work->ends.tail.position, work->ends.tail.class);
	if (text != NULL) {
		work->dump.fault.text = text;
		/* The head alone may still lead to something. */
		if (work->ends.head.class < work->lane->classes)
			find_behind(work, 0);
		return;
	}
	if (work->options->released)
		find_released(work);
	if (work->error == 0)
		walk_waiting(work);
}

/* Has the consumer released any of what was read as waiting? */
static bool
was_overtaken(const struct work *work, uint64_t tail)
{
	const struct ring_dump *dump = &work->dump;

	if (work->was_overwritten)
		return true;
	if (tail <= work->ends.tail.position)
		return false;
	return dump->fault.text != NULL || dump->waiting != 0;
}

/* Where the tail is now; if that cannot be told, unless it stands: too far. */
static uint64_t
tail_now(const struct ring_dump_lane *lane)
{
	struct ring_dump_ends ends = { .sequence = 0 };

	if (ring_dump_read_ends(lane, &ends) == NULL)
		return ends.tail.position;
	return memcmp(&ends, &lane->taken, sizeof(ends)) == 0 ? 0 : UINT64_MAX;
}

/* Leave out what may be overwritten by now. */
static void
drop_overtaken(struct work *work, uint64_t tail)
{
	struct ring_dump *dump = &work->dump;
	size_t kept = 0;

	for (size_t i = 0; i < dump->count; i++)
		if (dump->record[i].is_released ||
		    dump->record[i].position >= tail)
			dump->record[kept++] = dump->record[i];
	dump->overtaken += dump->count - kept;
	dump->count = kept;
	if (dump->fault.has_place && dump->fault.position < tail)
		dump->fault = (struct ring_dump_fault){ .text = NULL };
}

int
ring_dump_take(struct ring_dump_lane *lane,
    const struct ring_dump_options *options, struct ring_dump *out_dump)
{
	struct work work = {
		.lane = lane,
		.options = options,
		.limit = options->limit == 0 || options->limit > RING_DUMP_MAX
		    ? RING_DUMP_MAX
		    : options->limit,
	};
	uint64_t tail = 0;

	for (unsigned i = 0; i < TAKE_TRIES; i++) {
		attempt(&work);
		tail = tail_now(lane);
		if (work.error != 0 || !was_overtaken(&work, tail))
			break;
	}
	straighten(&work);
	if (work.error != 0) {
		free(work.dump.record);
		return work.error;
	}
	drop_overtaken(&work, tail);
	*out_dump = work.dump;
	return 0;
}

void
ring_dump_free(struct ring_dump *dump)
{
	free(dump->record);
	*dump = (struct ring_dump){ 0 };
}

/* ---- bodies -------------------------------------------------------------- */

/* Was the record whole after its payload was copied? */
static bool
is_still_there(
    struct ring_dump_lane *lane, const struct ring_dump_record *record)
{
	const struct ring_dump_place at = { record->position, record->class };
	struct ring_dump_ends ends = { .sequence = 0 };
	struct ring_record header;

	/* Ends that make no sense tell nothing, unless they have moved. */
	if (ring_dump_read_ends(lane, &ends) != NULL)
		return memcmp(&ends, &lane->taken, sizeof(ends)) == 0;
	if (!record->is_released)
		return record->position >= ends.tail.position;
	if (ends.sequence == RING_DUMP_ANY)
		return false;
	ring_dump_forget(lane);
	if (ring_dump_is_at_risk(lane, ring_dump_reach(lane, &ends), &ends, at))
		return false;
	return ring_dump_bytes(lane, at, &header, sizeof(header)) &&
	    memcmp(&header, &record->header, sizeof(header)) == 0;
}

int
ring_dump_body(struct ring_dump_lane *lane,
    const struct ring_dump_record *record, void *to, size_t length)
{
	const struct ring_dump_place at = {
		.position = record->position + sizeof(struct ring_record),
		.class = record->class,
	};

	if (length > record->header.length ||
	    !ring_dump_bytes(lane, at, to, length))
		return -EIO;
	return is_still_there(lane, record) ? 0 : -ESTALE;
}
