/* SPDX-License-Identifier: Apache-2.0 */

#include "ctl/why_text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "common/base/clock.h"
#include "ctl/table.h"

/* ---- parts of a sentence --------------------------------------------------
 */

const char *
why_program(const struct ring_party *party, char text[80])
{
	if (party->role == RING_ROLE_BRIDGE)
		snprintf(text, 80, "weir-bridged %s", party->name);
	else
		snprintf(text, 80, "weir-%s", party->name);
	return text;
}

/* "14 s", "3 min" */
static const char *
span(uint64_t ns, char text[32])
{
	uint64_t seconds = ns / CLOCK_SECOND_NS;

	if (ns < CLOCK_SECOND_NS)
		snprintf(text, 32, "%" PRIu64 " ms", ns / CLOCK_MS_NS);
	else if (seconds < 180)
		snprintf(text, 32, "%" PRIu64 " s", seconds);
	else if (seconds < UINT64_C(3) * 3600)
		snprintf(text, 32, "%" PRIu64 " min", seconds / 60);
	else
		snprintf(text, 32, "%" PRIu64 " h", seconds / 3600);
	return text;
}

static uint64_t
since(uint64_t then_ns, uint64_t now_ns)
{
	return now_ns > then_ns ? now_ns - then_ns : 0;
}

static const char *
plural(uint64_t count)
{
	return count == 1 ? "" : "s";
}

static const char *
address(const struct why_remote *remote)
{
	return remote->address[0] != '\0' ? remote->address : "(unknown)";
}

static uint64_t
waiting(const struct ring_view *view)
{
	return view->messages_in > view->messages_out
	    ? view->messages_in - view->messages_out
	    : 0;
}

/* ---- reasons --------------------------------------------------------------
 */

static void
print_process(const struct why_trouble *trouble, FILE *out)
{
	const struct ring_party *party = trouble->party;
	char program[80], time[32];

	why_program(party, program);
	span(party->beat_age_ns, time);
	switch (party->life) {
	case RING_ABSENT:
		fprintf(out, "no %s is attached for %s", program, time);
		return;
	case RING_STOPPED:
		fprintf(out,
		    "%s (pid %" PRIu64 ") is stopped by a signal or a "
		    "debugger, its last sign of life was %s ago",
		    program, party->pid, time);
		return;
	case RING_HUNG:
		fprintf(out,
		    "%s (pid %" PRIu64 ") hangs: the kernel runs it, and it "
		    "gave no sign of life for %s",
		    program, party->pid, time);
		return;
	case RING_DEAD:
	case RING_ALIVE:
		break;
	}
	fprintf(out,
	    "%s (pid %" PRIu64 ") is dead, its last sign of life was %s ago",
	    program, party->pid, time);
}

static void
print_away(const struct why_trouble *trouble, uint64_t now_ns, FILE *out)
{
	const struct why_remote *remote = &trouble->remote;
	uint64_t for_ns = remote->down_ns != 0 ? since(remote->down_ns, now_ns)
					       : trouble->for_ns;
	char time[32];

	fprintf(out, "remote %s is not connected for %s", address(remote),
	    span(for_ns, time));
	if (remote->error[0] != '\0')
		fprintf(out, " (%s)", remote->error);
	if (remote->retry_ns > now_ns)
		fprintf(out, ", the next attempt is in %s",
		    span(remote->retry_ns - now_ns, time));
	else if (remote->state[0] != '\0')
		fprintf(out, ", the bridge is %s", remote->state);
}

static void
print_stalls(const struct why_trouble *trouble, FILE *out)
{
	const struct ring_view *lane = trouble->lane;
	char time[32];

	span(trouble->for_ns, time);
	if (lane->in_flight == 0) {
		fprintf(out,
		    "remote %s does not read what it is sent for %s: its "
		    "socket is full",
		    address(&trouble->remote), time);
		return;
	}
	fprintf(out,
	    "remote %s has %" PRIu64 " of %" PRIu64
	    " messages unacknowledged for %s",
	    address(&trouble->remote), lane->in_flight, lane->window, time);
	if (trouble->remote.is_full)
		fputs(" and does not read: its socket is full", out);
}

static void
print_asked(const struct why_trouble *trouble, uint64_t now_ns, FILE *out)
{
	char time[32];

	fprintf(out, "remote %s asked to be sent nothing for another %s",
	    address(&trouble->remote),
	    span(since(now_ns, trouble->remote.later_ns), time));
}

static void
print_rate(const struct why_trouble *trouble, uint64_t now_ns, FILE *out)
{
	char time[32];

	fprintf(out,
	    "it sends to remote %s no faster than its own rate allows; the "
	    "next message goes in %s",
	    address(&trouble->remote),
	    span(since(now_ns, trouble->remote.rate_ns), time));
}

/* What a maintainer wants to know first. */
static void
print_numbers(const struct ring_view *lane, FILE *out)
{
	fprintf(out,
	    "used %" PRIu64 " of %" PRIu64 ", credit %" PRIu64 " of %" PRIu64
	    " taken, in flight %" PRIu64 " of %" PRIu64
	    ", producer %s, consumer %s",
	    lane->used, lane->capacity, lane->credit_used, lane->credit_granted,
	    lane->in_flight, lane->window,
	    lane->producer->is_asleep ? "asleep" : "awake",
	    lane->consumer != NULL && lane->consumer->is_asleep ? "asleep"
								: "awake");
}

static void
print_lost_wake(const struct why_trouble *trouble, FILE *out)
{
	const struct ring_party *party = trouble->party;
	char program[80], time[32];

	fprintf(out,
	    "a wake-up was lost, which is a bug of Weir: %s (pid %" PRIu64
	    ") sleeps for %s although it could %s (",
	    why_program(party, program), party->pid,
	    span(trouble->for_ns, time),
	    party == trouble->lane->producer ? "write" : "read");
	print_numbers(trouble->lane, out);
	fprintf(out, ", %" PRIu64 " sleeps, %" PRIu64 " empty wakes)",
	    party->sleeps, party->empty_wakes);
}

static void
print_receipts(const struct why_trouble *trouble, FILE *out)
{
	char program[80], time[32];

	fprintf(out, "%s (pid %" PRIu64 ") runs and takes no receipts for %s",
	    why_program(trouble->party, program), trouble->party->pid,
	    span(trouble->for_ns, time));
}

static void
print_unknown(const struct why_trouble *trouble, FILE *out)
{
	char program[80], time[32];

	fprintf(out,
	    "%s takes nothing for %s and nothing is seen that holds it (",
	    why_program(trouble->party, program), span(trouble->for_ns, time));
	print_numbers(trouble->lane, out);
	fputs(")", out);
}

static void
print_no_memory(const struct why_trouble *trouble, FILE *out)
{
	const struct ring_view *lane = trouble->lane;
	char now[32], most[32];

	fprintf(out,
	    "there was no memory for it %" PRIu64
	    " time%s, it stays at %s of the %s that it may have",
	    lane->grow_failures, plural(lane->grow_failures),
	    table_bytes(lane->capacity, now),
	    table_bytes(lane->max_capacity, most));
}

static void
print_journal(const struct why_trouble *trouble, uint64_t now_ns, FILE *out)
{
	const struct why_journal *journal = &trouble->journal;
	char time[32];

	fprintf(out,
	    "the disk has taken nothing for %s; %" PRIu64
	    " record%s wait%s for the journal",
	    span(since(journal->since_ns, now_ns), time), journal->records,
	    plural(journal->records), journal->records == 1 ? "s" : "");
}

/* ---- what waits -----------------------------------------------------------
 */

static void
print_lanes(const struct why_trouble *trouble, FILE *out)
{
	char used[32], capacity[32];

	for (size_t i = 0; i < trouble->lane_count; i++) {
		const struct ring_view *lane = trouble->lanes[i];

		fprintf(out, "%s%" PRIu64 " message%s (%s of %s) wait%s in %s",
		    i == 0 ? "; " : ", ", waiting(lane), plural(waiting(lane)),
		    table_bytes(lane->used, used),
		    table_bytes(lane->capacity, capacity),
		    waiting(lane) == 1 ? "s" : "", lane->name);
	}
	if (trouble->lanes_left_out != 0)
		fprintf(out, " and more in %zu other lanes",
		    trouble->lanes_left_out);
}

static void
print_backlog(const struct why_backlog *backlog, FILE *out)
{
	char bytes[32], limit[32];

	if (backlog->messages == 0)
		return;
	fprintf(out, "; %" PRIu64 " message%s (%s of %s) wait%s in the journal",
	    backlog->messages, plural(backlog->messages),
	    table_bytes(backlog->bytes, bytes),
	    table_bytes(backlog->limit, limit),
	    backlog->messages == 1 ? "s" : "");
}

static void
print_held(const struct why_held *held, const char *noun, FILE *out)
{
	fprintf(out, "%" PRIu64 " %s%s", held->clients, noun,
	    plural(held->clients));
	if (held->names[0] != '\0')
		fprintf(out, " (%s)", held->names);
}

static void
print_waiting(const struct why_trouble *trouble, FILE *out)
{
	const struct why_held *clients = &trouble->clients;
	const struct why_held *publishers = &trouble->publishers;

	if (clients->clients != 0) {
		fputs("; httpd holds ", out);
		print_held(clients, "client", out);
	}
	if (publishers->clients != 0) {
		fputs(clients->clients != 0 ? " and the broker "
					    : "; the broker holds ",
		    out);
		print_held(publishers, "publisher", out);
	}
	if (clients->clients != 0 || publishers->clients != 0)
		fputs(" for it", out);
	if (trouble->receipts != 0)
		fprintf(out, "; httpd waits for %" PRIu64 " receipt%s",
		    trouble->receipts, plural(trouble->receipts));
	if (trouble->lane_count == 0 && clients->clients == 0 &&
	    publishers->clients == 0 && trouble->receipts == 0 &&
	    trouble->backlog.messages == 0)
		fputs("; nothing waits for it yet", out);
}

/* ---- the sentence ---------------------------------------------------------
 */

static void
print_subject(const struct why_trouble *trouble, FILE *out)
{
	if (trouble->kind == WHY_PROCESS &&
	    trouble->party->role == RING_ROLE_BROKER)
		fputs("everything is blocked: ", out);
	else if (trouble->kind == WHY_PROCESS &&
	    trouble->party->role == RING_ROLE_HTTPD)
		fputs("HTTP is not served: ", out);
	else
		fprintf(out, "%s %s: ", trouble->subject,
		    trouble->kind == WHY_NO_MEMORY ? "cannot grow"
						   : "is blocked");
}

static void
print_reason(const struct why_trouble *trouble, uint64_t now_ns, FILE *out)
{
	switch (trouble->kind) {
	case WHY_PROCESS:
		print_process(trouble, out);
		return;
	case WHY_REMOTE_AWAY:
		print_away(trouble, now_ns, out);
		return;
	case WHY_REMOTE_STALLS:
		print_stalls(trouble, out);
		return;
	case WHY_REMOTE_ASKED:
		print_asked(trouble, now_ns, out);
		return;
	case WHY_RATE:
		print_rate(trouble, now_ns, out);
		return;
	case WHY_RECEIPTS:
		print_receipts(trouble, out);
		return;
	case WHY_LOST_WAKE:
		print_lost_wake(trouble, out);
		return;
	case WHY_NO_MEMORY:
		print_no_memory(trouble, out);
		return;
	case WHY_JOURNAL:
		print_journal(trouble, now_ns, out);
		return;
	case WHY_UNKNOWN:
		print_unknown(trouble, out);
		return;
	}
}

void
why_print_sentence(
    const struct why_trouble *trouble, uint64_t now_ns, FILE *out)
{
	print_subject(trouble, out);
	print_reason(trouble, now_ns, out);
	print_lanes(trouble, out);
	print_backlog(&trouble->backlog, out);
	if (trouble->kind != WHY_NO_MEMORY)
		print_waiting(trouble, out);
}

void
why_print_fine(const struct ring_view *view, uint64_t now_ns, FILE *out)
{
	struct why_remote remote;
	char used[32], capacity[32];

	fprintf(out, "%s is %s: %" PRIu64 " message%s (%s of %s) %s under way",
	    view->name, ring_state_name(view->state), waiting(view),
	    plural(waiting(view)), table_bytes(view->used, used),
	    table_bytes(view->capacity, capacity),
	    waiting(view) == 1 ? "is" : "are");
	if (view->consumer == NULL || view->consumer->role != RING_ROLE_BRIDGE)
		return;
	why_board_remote(view->consumer->board, &remote);
	if (view->remote_up)
		fprintf(out,
		    ", remote %s has %" PRIu64 " of %" PRIu64
		    " messages unacknowledged",
		    address(&remote), view->in_flight, view->window);
	else
		fprintf(out, ", remote %s is not connected for %s%s%s%s",
		    address(&remote),
		    span(
			remote.down_ns == 0 ? 0 : since(remote.down_ns, now_ns),
			used),
		    remote.error[0] == '\0' ? "" : " (", remote.error,
		    remote.error[0] == '\0' ? "" : ")");
}

/* ---- advice ---------------------------------------------------------------
 */

static void set(struct why_advice *advice, const char *command,
    const char *format, ...) __attribute__((format(printf, 3, 4)));

static void
set(struct why_advice *advice, const char *command, const char *format, ...)
{
	va_list arguments;

	snprintf(advice->command, sizeof(advice->command), "%s", command);
	va_start(arguments, format);
	vsnprintf(advice->text, sizeof(advice->text), format, arguments);
	va_end(arguments);
}

/* "weir-bridged@cloud" */
static const char *
unit_of(const struct ring_party *party, char text[80])
{
	if (party->role == RING_ROLE_BRIDGE)
		snprintf(text, 80, "weir-bridged@%s", party->name);
	else
		snprintf(text, 80, "weir-%s", party->name);
	return text;
}

static unsigned
advise_process(
    const struct ring_party *party, struct why_advice advice[WHY_ADVICE_MAX])
{
	char command[160], unit[80];

	unit_of(party, unit);
	switch (party->life) {
	case RING_STOPPED:
		snprintf(command, sizeof(command), "kill -CONT %" PRIu64,
		    party->pid);
		set(&advice[0], command, "lets it go on");
		return 1;
	case RING_HUNG:
		snprintf(command, sizeof(command), "kill -ABRT %" PRIu64,
		    party->pid);
		set(&advice[0], command,
		    "ends it with a core for a report; its supervisor starts "
		    "it again, and its rings are kept");
		return 1;
	case RING_ABSENT:
	case RING_DEAD:
	case RING_ALIVE:
		break;
	}
	snprintf(command, sizeof(command), "systemctl restart %s", unit);
	set(&advice[0], command,
	    "starts it, where systemd runs it; `weirctl run` does so by "
	    "itself, if it still runs");
	snprintf(command, sizeof(command), "journalctl -eu %s", unit);
	set(&advice[1], command, "has its last words");
	return 2;
}

static unsigned
advise_remote(
    const struct why_trouble *trouble, struct why_advice advice[WHY_ADVICE_MAX])
{
	const char *where = address(&trouble->remote);

	if (trouble->kind == WHY_REMOTE_AWAY)
		set(&advice[0], "",
		    "Look whether %s runs and lets this host in; the bridge "
		    "tries on by itself.",
		    where);
	else
		set(&advice[0], "",
		    "Look whether the program at %s runs and has room; the "
		    "bridge goes on when it acknowledges.",
		    where);
	set(&advice[1], "weirctl rings --watch", "shows when it moves again");
	set(&advice[2], "man weir.conf",
	    "`overflow`, `backlog` and `ring.max_capacity` of bridge %s say "
	    "what happens to publishers until then",
	    trouble->party->name);
	return 3;
}

static unsigned
advise_bug(
    const struct why_trouble *trouble, struct why_advice advice[WHY_ADVICE_MAX])
{
	char command[160], program[80];

	set(&advice[0], "weirctl rings --json",
	    "please send what it prints, and the line above, to those who "
	    "make Weir");
	snprintf(command, sizeof(command), "kill -TERM %" PRIu64,
	    trouble->party->pid);
	set(&advice[1], command,
	    "has %s started anew by its supervisor; nothing that was "
	    "acknowledged is lost",
	    why_program(trouble->party, program));
	return 2;
}

unsigned
why_advise(
    const struct why_trouble *trouble, struct why_advice advice[WHY_ADVICE_MAX])
{
	switch (trouble->kind) {
	case WHY_PROCESS:
		return advise_process(trouble->party, advice);
	case WHY_REMOTE_AWAY:
	case WHY_REMOTE_STALLS:
	case WHY_REMOTE_ASKED:
		return advise_remote(trouble, advice);
	case WHY_RATE:
		set(&advice[0], "weirctl reload",
		    "takes another `rate` of the bridge from weir.conf, "
		    "without "
		    "a new connection");
		return 1;
	case WHY_LOST_WAKE:
		return advise_bug(trouble, advice);
	case WHY_NO_MEMORY:
		set(&advice[0], "free -m",
		    "shows what is left; free some, or lower `max_capacity`: "
		    "the ring tries again by itself");
		return 1;
	case WHY_JOURNAL:
		set(&advice[0], "weirctl doctor",
		    "measures how fast the disk is; it may be ill, or busy "
		    "with others");
		set(&advice[1], "weirctl store stat",
		    "shows what the journal takes of it");
		return 2;
	case WHY_RECEIPTS:
	case WHY_UNKNOWN:
		set(&advice[0], "top",
		    "shows whether the machine is too busy; if it is not, "
		    "send the line above to those who make Weir");
		return 1;
	}
	return 0;
}
