/* SPDX-License-Identifier: Apache-2.0 */

#include "ctl/dump_diagnosis.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"

/* No progress for this long: not just passing through. */
#define STILL_NS CLOCK_SECOND_NS

static const char *const names[] = {
	[DIAGNOSIS_EMPTY] = "empty",
	[DIAGNOSIS_MOVING] = "moving",
	[DIAGNOSIS_DAMAGED] = "damaged",
	[DIAGNOSIS_CONSUMER_ABSENT] = "consumer_absent",
	[DIAGNOSIS_CONSUMER_DEAD] = "consumer_dead",
	[DIAGNOSIS_CONSUMER_STOPPED] = "consumer_stopped",
	[DIAGNOSIS_CONSUMER_HUNG] = "consumer_hung",
	[DIAGNOSIS_HELD] = "held",
	[DIAGNOSIS_NO_CREDIT] = "no_credit",
	[DIAGNOSIS_NOT_ACKED] = "not_acknowledged",
	[DIAGNOSIS_LOST_WAKE] = "lost_wake",
	[DIAGNOSIS_BLOCKED] = "blocked",
};

const char *
diagnosis_name(enum diagnosis what)
{
	return names[what];
}

__attribute__((format(printf, 3, 4))) static void
say(struct dump_diagnosis *d, enum diagnosis what, const char *format, ...)
{
	va_list arguments;

	d->what = what;
	va_start(arguments, format);
	vsnprintf(d->text, sizeof(d->text), format, arguments);
	va_end(arguments);
}

__attribute__((format(printf, 2, 3))) static void
advise(struct dump_diagnosis *d, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(d->hint, sizeof(d->hint), format, arguments);
	va_end(arguments);
}

static void
diagnose_damage(const struct ring_view *view, const struct ring_dump *dump,
    struct dump_diagnosis *d)
{
	const struct ring_dump_fault *fault = &dump->fault;

	if (fault->has_place)
		say(d, DIAGNOSIS_DAMAGED,
		    "the memory is damaged at position %" PRIu64
		    " (class %" PRIu32 "): %s",
		    fault->position, fault->class, fault->text);
	else
		say(d, DIAGNOSIS_DAMAGED, "the memory is damaged: %s",
		    fault->text);
	advise(d,
	    "%s wrote it: look into its log.  Save what could be read with "
	    "weirctl dump --json --payload; the link is made anew when a "
	    "damaged record is reached, or when %s is restarted",
	    view->from, view->from);
}

/* Returns false if the consumer's process is well. */
static bool
diagnose_process(const struct ring_view *view, const struct ring_dump *dump,
    struct dump_diagnosis *d)
{
	const struct ring_party *party = view->consumer;
	const enum ring_life life = party == NULL ? RING_ABSENT : party->life;
	const uint64_t pid = party == NULL ? 0 : party->pid;

	switch (life) {
	case RING_ABSENT:
		say(d, DIAGNOSIS_CONSUMER_ABSENT,
		    "no process %s is attached: %" PRIu64 " records wait",
		    view->to, dump->waiting);
		advise(d, "start it; what is committed is kept for it");
		return true;
	case RING_DEAD:
		say(d, DIAGNOSIS_CONSUMER_DEAD,
		    "the consumer, %s (pid %" PRIu64 "), is dead: %" PRIu64
		    " records wait",
		    view->to, pid, dump->waiting);
		advise(d, "start it again; what is committed is kept for it");
		return true;
	case RING_STOPPED:
		say(d, DIAGNOSIS_CONSUMER_STOPPED,
		    "the consumer, %s (pid %" PRIu64 "), is stopped by a "
		    "signal or a debugger: %" PRIu64 " records wait",
		    view->to, pid, dump->waiting);
		advise(d, "kill -CONT %" PRIu64, pid);
		return true;
	case RING_HUNG:
		say(d, DIAGNOSIS_CONSUMER_HUNG,
		    "the consumer, %s (pid %" PRIu64 "), hangs: no sign of "
		    "life for %" PRIu64 " s",
		    view->to, pid, party->beat_age_ns / CLOCK_SECOND_NS);
		advise(d,
		    "restart it; what is committed is kept.  A core (gcore "
		    "%" PRIu64 ") tells us where it hangs",
		    pid);
		return true;
	case RING_ALIVE:
		break;
	}
	return false;
}

/* It lives, and something waits that does not move. */
static void
diagnose_stillness(const struct ring_view *view, const struct ring_dump *dump,
    struct dump_diagnosis *d)
{
	const uint64_t still_s = view->still_ns / CLOCK_SECOND_NS;

	if (view->held_by[0] != '\0')
		say(d, DIAGNOSIS_HELD, "held by %s for %" PRIu64 " s",
		    view->held_by, still_s);
	else if (dump->waiting == 0)
		say(d, DIAGNOSIS_NO_CREDIT,
		    "the producer, %s, has no credit: it may write up to "
		    "position %" PRIu64 " and is at %" PRIu64,
		    view->from, view->credit_granted,
		    RING_POSITION(dump->head));
	else if (view->in_flight >= dump->waiting)
		say(d, DIAGNOSIS_NOT_ACKED,
		    "all %" PRIu64 " records are at the remote, which has not "
		    "acknowledged them for %" PRIu64 " s",
		    dump->waiting, still_s);
	else if (view->consumer->is_asleep)
		say(d, DIAGNOSIS_LOST_WAKE,
		    "a wake-up was lost: %s (pid %" PRIu64
		    ") sleeps, and %" PRIu64 " records wait for %" PRIu64
		    " s that nothing holds",
		    view->to, view->consumer->pid, dump->waiting, still_s);
	else
		say(d, DIAGNOSIS_BLOCKED,
		    "%" PRIu64 " records wait for %" PRIu64
		    " s; the consumer, %s, is awake and does not take them",
		    dump->waiting, still_s, view->to);
	if (d->what == DIAGNOSIS_LOST_WAKE)
		advise(d,
		    "this is a mistake of Weir: please report it with this "
		    "dump.  The next message wakes the consumer, or a restart");
	else
		advise(d, "weirctl why says more");
}

void
dump_diagnose(const struct ring_view *view, const struct ring_dump *dump,
    struct dump_diagnosis *out_diagnosis)
{
	struct dump_diagnosis *d = out_diagnosis;

	*d = (struct dump_diagnosis){ .what = DIAGNOSIS_EMPTY };
	if (dump->fault.text != NULL)
		diagnose_damage(view, dump, d);
	else if (dump->waiting == 0 && !view->is_stalled)
		say(d, DIAGNOSIS_EMPTY, "nothing waits");
	else if (diagnose_process(view, dump, d))
		;
	else if (view->still_ns < STILL_NS)
		say(d, DIAGNOSIS_MOVING, "records come and go");
	else
		diagnose_stillness(view, dump, d);
}

static void
print_header_bytes(const struct ring_dump_fault *fault)
{
	uint8_t bytes[sizeof(fault->header)];

	memcpy(bytes, &fault->header, sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++) {
		if (i % 16 == 0)
			printf("    %02zx ", i);
		printf(" %02x", bytes[i]);
		if (i % 16 == 15)
			putchar('\n');
	}
}

void
dump_diagnosis_print(const struct ring_view *view, const struct ring_dump *dump,
    const struct dump_diagnosis *diagnosis)
{
	printf("%s: %" PRIu64 " waiting", view->name, dump->waiting);
	if (dump->released != 0)
		printf(", %" PRIu64 " released", dump->released);
	if (dump->left_out != 0)
		printf(", %" PRIu64 " not shown (--limit)", dump->left_out);
	if (dump->overtaken != 0)
		printf(", %" PRIu64 " overtaken while they were read",
		    dump->overtaken);
	printf(".\n%s: %s.\n", view->name, diagnosis->text);
	if (diagnosis->hint[0] != '\0')
		printf("  Next: %s.\n", diagnosis->hint);
	if (dump->fault.has_place)
		print_header_bytes(&dump->fault);
	if (dump->is_cut)
		puts("  Older records were not looked for: the lane is too "
		     "long.");
}

static json_t *
fault_to_json(const struct ring_dump_fault *fault)
{
	char hex[2 * sizeof(fault->header) + 1];
	uint8_t bytes[sizeof(fault->header)];

	if (fault->text == NULL)
		return json_null();
	if (!fault->has_place)
		return json_pack("{s:s}", "text", fault->text);
	memcpy(bytes, &fault->header, sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
	return json_pack("{s:s, s:I, s:i, s:s}", "text", fault->text,
	    "position", (json_int_t)fault->position, "class", (int)fault->class,
	    "header", hex);
}

json_t *
dump_diagnosis_to_json(const struct ring_view *view,
    const struct ring_dump *dump, const struct dump_diagnosis *diagnosis)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I,"
			 " s:I, s:I, s:b, s:o}",
	    "ring", view->name, "diagnosis", diagnosis_name(diagnosis->what),
	    "text", diagnosis->text, "hint", diagnosis->hint, "state",
	    ring_state_name(view->state), "waiting", (json_int_t)dump->waiting,
	    "released", (json_int_t)dump->released, "left_out",
	    (json_int_t)dump->left_out, "overtaken",
	    (json_int_t)dump->overtaken, "head",
	    (json_int_t)RING_POSITION(dump->head), "tail",
	    (json_int_t)RING_POSITION(dump->tail), "limit",
	    (json_int_t)view->credit_granted, "cut", dump->is_cut, "fault",
	    fault_to_json(&dump->fault));
}
