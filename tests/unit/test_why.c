/* SPDX-License-Identifier: Apache-2.0 */

/* Troubles found in made-up snapshots, and the sentences for them. */

#include "ctl/why.h"

#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "ctl/why_text.h"
#include "tests/unit/unit.h"

#define SECOND CLOCK_SECOND_NS
#define NOW (UINT64_C(5000) * SECOND)

/* httpd and two bridges, all well and idle. */
enum {
	BROKER_OF_HTTPD,
	HTTPD,
	BROKER_OF_CLOUD,
	CLOUD,
	BROKER_OF_PLANT,
	PLANT
};
enum {
	TO_CLOUD,
	TO_HTTPD,
	TO_PLANT,
	FROM_CLOUD,
	FROM_HTTPD,
	VIA_CLOUD,
	LANES
};

static struct ring_party party[6];
static struct ring_view view[LANES];
static struct ring_views views;
static struct why why;

static void
set_party(unsigned index, enum ring_role role, const char *name, uint32_t link,
    uint64_t pid)
{
	party[index] = (struct ring_party){
		.role = role,
		.link = link,
		.life = RING_ALIVE,
		.pid = pid,
		.beat_age_ns = SECOND / 2,
	};
	snprintf(party[index].name, sizeof(party[index].name), "%s", name);
}

static void
set_view(unsigned index, unsigned from, unsigned to, const char *set)
{
	struct ring_view *v = &view[index];

	*v = (struct ring_view){
		.state = RING_IDLE,
		.capacity = 65536,
		.max_capacity = 65536,
		.credit_granted = 1000,
		.credit_used = 500,
		.producer = &party[from],
		.consumer = &party[to],
	};
	snprintf(v->from, sizeof(v->from), "%s", party[from].name);
	snprintf(v->to, sizeof(v->to), "%s", party[to].name);
	snprintf(v->lane, sizeof(v->lane), "%s", set);
	snprintf(v->name, sizeof(v->name), "%s→%s%s%s", party[from].name,
	    party[to].name, set[0] == '\0' ? "" : "/", set);
}

static void
setup(void)
{
	set_party(BROKER_OF_HTTPD, RING_ROLE_BROKER, "broker", 0, 100);
	set_party(HTTPD, RING_ROLE_HTTPD, "httpd", 0, 101);
	set_party(BROKER_OF_CLOUD, RING_ROLE_BROKER, "broker", 1, 100);
	set_party(CLOUD, RING_ROLE_BRIDGE, "cloud", 1, 102);
	set_party(BROKER_OF_PLANT, RING_ROLE_BROKER, "broker", 2, 100);
	set_party(PLANT, RING_ROLE_BRIDGE, "plant", 2, 103);
	set_view(TO_CLOUD, BROKER_OF_CLOUD, CLOUD, "");
	set_view(TO_HTTPD, BROKER_OF_HTTPD, HTTPD, "");
	set_view(TO_PLANT, BROKER_OF_PLANT, PLANT, "");
	set_view(FROM_CLOUD, CLOUD, BROKER_OF_CLOUD, "");
	set_view(FROM_HTTPD, HTTPD, BROKER_OF_HTTPD, "");
	set_view(VIA_CLOUD, HTTPD, BROKER_OF_HTTPD, "cloud");
	view[TO_CLOUD].remote_up = view[TO_PLANT].remote_up = true;
	view[TO_CLOUD].window = view[TO_PLANT].window = 20;
	strcpy(party[CLOUD].board,
	    "remote 10.0.0.9:1883\nstate connected\nsince 1\n");
	views = (struct ring_views){
		.view = view,
		.count = LANES,
		.party = party,
		.parties = 6,
	};
}

static void
teardown(void)
{
	why_free(&why);
}

/* Something waits in that lane and does not move for 14 s. */
static void
block(unsigned index, uint64_t messages)
{
	view[index].state = RING_BLOCKED;
	view[index].used = 1024 * messages;
	view[index].messages_in = messages;
	view[index].still_ns = 14 * SECOND;
}

static const struct why_trouble *
find(const char *name, size_t count)
{
	why_free(&why);
	ck_assert_int_eq(why_find(&views, name, NOW, &why), 0);
	ck_assert(why.is_known);
	ck_assert_uint_eq(why.count, count);
	return why.trouble;
}

static const char *
sentence(const struct why_trouble *trouble)
{
	static char text[2000];
	FILE *out = fmemopen(text, sizeof(text), "w");

	ck_assert_ptr_nonnull(out);
	why_print_sentence(trouble, NOW, out);
	fclose(out);
	return text;
}

/* The first of them. */
static const struct why_advice *
advice_of(const struct why_trouble *trouble)
{
	static struct why_advice advice[WHY_ADVICE_MAX];

	ck_assert_uint_ge(why_advise(trouble, advice), 1);
	return advice;
}

static const char *
command(const struct why_trouble *trouble)
{
	return advice_of(trouble)->command;
}

START_TEST(all_is_well)
{
	find(NULL, 0);
	find("cloud", 0);
	find("broker", 0);
	find("weir-httpd", 0);
	find("httpd→broker/cloud", 0);
	find("httpd->broker/cloud", 0);
}
END_TEST

START_TEST(an_unknown_name_is_told)
{
	ck_assert_int_eq(why_find(&views, "clou", NOW, &why), 0);
	ck_assert(!why.is_known);
	why_free(&why);
	ck_assert_int_eq(why_find(&views, "httpd->broker/", NOW, &why), 0);
	ck_assert(!why.is_known);
}
END_TEST

START_TEST(a_stalled_remote_is_followed_to_its_publishers)
{
	const struct why_trouble *trouble;

	block(TO_CLOUD, 56);
	view[TO_CLOUD].in_flight = 20;
	block(VIA_CLOUD, 3);
	strcpy(party[HTTPD].board,
	    "committed 3\nheld - 9 9 other\nheld cloud 5 3 meter-gw\n"
	    "held cloud+plant 1 1 admin\n");
	strcpy(party[BROKER_OF_CLOUD].board, "publishers 1 plc7\n");
	trouble = find(NULL, 1);
	ck_assert_int_eq(trouble->kind, WHY_REMOTE_STALLS);
	ck_assert_str_eq(trouble->subject, "cloud");
	ck_assert_uint_eq(trouble->clients.messages, 6);
	ck_assert_str_eq(sentence(trouble),
	    "cloud is blocked: remote 10.0.0.9:1883 has 20 of 20 messages "
	    "unacknowledged for 14 s; 56 messages (56K of 64K) wait in "
	    "broker→cloud, 3 messages (3K of 64K) wait in "
	    "httpd→broker/cloud; httpd holds 4 clients (meter-gw, admin) and "
	    "the broker 1 publisher (plc7) for it");
	find("cloud", 1);
	find("broker→cloud", 1);
	find("httpd->broker/cloud", 1);
	find("plant", 0);
	find("broker→plant", 0);
}
END_TEST

START_TEST(a_remote_that_does_not_read_stalls_too)
{
	const struct why_trouble *trouble;

	block(TO_CLOUD, 1);
	strcat(party[CLOUD].board, "full 1\n");
	trouble = find(NULL, 1);
	ck_assert_int_eq(trouble->kind, WHY_REMOTE_STALLS);
	ck_assert_str_eq(sentence(trouble),
	    "cloud is blocked: remote 10.0.0.9:1883 does not read what it is "
	    "sent for 14 s: its socket is full; 1 message (1K of 64K) waits "
	    "in broker→cloud");
	view[TO_CLOUD].in_flight = 7;
	trouble = find(NULL, 1);
	ck_assert_str_eq(sentence(trouble),
	    "cloud is blocked: remote 10.0.0.9:1883 has 7 of 20 messages "
	    "unacknowledged for 14 s and does not read: its socket is full; "
	    "1 message (1K of 64K) waits in broker→cloud");
}
END_TEST

START_TEST(a_remote_that_is_away_says_since_when_and_why)
{
	const struct why_trouble *trouble;

	block(TO_CLOUD, 2);
	view[TO_CLOUD].remote_up = false;
	snprintf(party[CLOUD].board, sizeof(party[CLOUD].board),
	    "remote 10.0.0.9:1883\nstate waiting to connect again\n"
	    "down %llu\nretry %llu\nerror 7 Connection refused\n",
	    (unsigned long long)(NOW - 200 * SECOND),
	    (unsigned long long)(NOW + 2 * SECOND));
	trouble = find("cloud", 1);
	ck_assert_int_eq(trouble->kind, WHY_REMOTE_AWAY);
	ck_assert_str_eq(advice_of(trouble)->text,
	    "Look whether 10.0.0.9:1883 runs and lets this host in; the "
	    "bridge tries on by itself.");
	ck_assert_str_eq(sentence(trouble),
	    "cloud is blocked: remote 10.0.0.9:1883 is not connected for 3 "
	    "min (Connection refused), the next attempt is in 2 s; 2 "
	    "messages (2K of 64K) wait in broker→cloud");
	/* Nothing waits for it: nothing is blocked. */
	view[TO_CLOUD].used = 0;
	view[TO_CLOUD].state = RING_IDLE;
	find("cloud", 0);
}
END_TEST

START_TEST(what_waits_in_the_journal_is_told_with_its_bridge)
{
	const struct why_trouble *trouble;

	block(TO_CLOUD, 2);
	view[TO_CLOUD].remote_up = false;
	strcpy(party[BROKER_OF_CLOUD].board,
	    "publishers 1 plc7\nbacklog 300 3072 65536\n");
	trouble = find("cloud", 1);
	ck_assert_uint_eq(trouble->backlog.messages, 300);
	ck_assert_ptr_nonnull(strstr(sentence(trouble),
	    "; 300 messages (3K of 64K) wait in the journal; the broker "
	    "holds 1 publisher (plc7) for it"));
	strcpy(party[BROKER_OF_CLOUD].board, "backlog 0 0 65536\n");
	trouble = find("cloud", 1);
	ck_assert_ptr_null(strstr(sentence(trouble), "journal"));
}
END_TEST

START_TEST(a_disk_that_hangs_blocks_what_waits_for_it)
{
	const struct why_trouble *trouble;

	block(FROM_HTTPD, 2);
	party[BROKER_OF_HTTPD].is_asleep = true;
	snprintf(party[BROKER_OF_HTTPD].board,
	    sizeof(party[BROKER_OF_HTTPD].board), "journal 17 %llu\n",
	    (unsigned long long)(NOW - 9 * SECOND));
	trouble = find(NULL, 1);
	ck_assert_int_eq(trouble->kind, WHY_JOURNAL);
	ck_assert_str_eq(why_kind_name(trouble->kind), "journal");
	ck_assert_ptr_nonnull(strstr(sentence(trouble),
	    "the disk has taken nothing for 9 s; 17 records wait for the "
	    "journal"));
	ck_assert_str_eq(command(trouble), "weirctl doctor");

	/* It was busy just now. */
	snprintf(party[BROKER_OF_HTTPD].board,
	    sizeof(party[BROKER_OF_HTTPD].board), "journal 17 %llu\n",
	    (unsigned long long)(NOW - SECOND / 2));
	ck_assert_int_eq(find(NULL, 1)->kind, WHY_LOST_WAKE);
}
END_TEST

START_TEST(a_remote_may_ask_for_a_pause)
{
	const struct why_trouble *trouble;

	block(TO_CLOUD, 2);
	snprintf(party[CLOUD].board, sizeof(party[CLOUD].board),
	    "remote 10.0.0.9:1883\nlater %llu\n",
	    (unsigned long long)(NOW + 3 * SECOND));
	trouble = find("cloud", 1);
	ck_assert_int_eq(trouble->kind, WHY_REMOTE_ASKED);
	ck_assert_str_eq(sentence(trouble),
	    "cloud is blocked: remote 10.0.0.9:1883 asked to be sent nothing "
	    "for another 3 s; 2 messages (2K of 64K) wait in broker→cloud");
}
END_TEST

START_TEST(a_bridge_may_keep_to_its_own_rate)
{
	const struct why_trouble *trouble;

	block(TO_CLOUD, 2);
	party[CLOUD].is_asleep = true;
	snprintf(party[CLOUD].board, sizeof(party[CLOUD].board),
	    "remote 10.0.0.9:1883\nrate %llu\n",
	    (unsigned long long)(NOW + 3 * SECOND));
	trouble = find("cloud", 1);
	ck_assert_int_eq(trouble->kind, WHY_RATE);
	ck_assert_str_eq(why_kind_name(trouble->kind), "rate");
	ck_assert_ptr_nonnull(strstr(sentence(trouble),
	    "no faster than its own rate allows; the next message goes in "
	    "3 s"));
	ck_assert_str_eq(command(trouble), "weirctl reload");

	/* That was long ago: it is something else. */
	snprintf(party[CLOUD].board, sizeof(party[CLOUD].board),
	    "remote 10.0.0.9:1883\nrate %llu\n",
	    (unsigned long long)(NOW - SECOND));
	ck_assert_int_ne(find("cloud", 1)->kind, WHY_RATE);
}
END_TEST

START_TEST(dead_stopped_hung_and_absent_bridges_are_told_apart)
{
	static const struct {
		enum ring_life life;
		const char *sentence, *command;
	} cases[] = {
		{ RING_DEAD,
		    "cloud is blocked: weir-bridged cloud (pid 102) is dead, "
		    "its last sign of life was 9 s ago; 4 messages (4K of "
		    "64K) wait in broker→cloud",
		    "systemctl restart weir-bridged@cloud" },
		{ RING_STOPPED,
		    "cloud is blocked: weir-bridged cloud (pid 102) is "
		    "stopped by a signal or a debugger, its last sign of "
		    "life was 9 s ago; 4 messages (4K of 64K) wait in "
		    "broker→cloud",
		    "kill -CONT 102" },
		{ RING_HUNG,
		    "cloud is blocked: weir-bridged cloud (pid 102) hangs: "
		    "the kernel runs it, and it gave no sign of life for 9 "
		    "s; 4 messages (4K of 64K) wait in broker→cloud",
		    "kill -ABRT 102" },
		{ RING_ABSENT,
		    "cloud is blocked: no weir-bridged cloud is attached for "
		    "9 s; 4 messages (4K of 64K) wait in broker→cloud",
		    "systemctl restart weir-bridged@cloud" },
	};
	const struct why_trouble *trouble;

	block(TO_CLOUD, 4);
	party[CLOUD].beat_age_ns = 9 * SECOND;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		party[CLOUD].life = cases[i].life;
		trouble = find(NULL, 1);
		ck_assert_int_eq(trouble->kind, WHY_PROCESS);
		ck_assert_str_eq(sentence(trouble), cases[i].sentence);
		ck_assert_str_eq(command(trouble), cases[i].command);
		find("cloud", 1);
		find("plant", 0);
	}
}
END_TEST

START_TEST(a_bridge_that_ended_is_missed_only_when_needed)
{
	party[CLOUD].life = RING_ABSENT;
	find(NULL, 0);
	view[TO_CLOUD].used = 64;
	find(NULL, 1);
}
END_TEST

START_TEST(without_the_broker_everything_is_blocked)
{
	const struct why_trouble *trouble;

	for (unsigned i = 0; i < 6; i += 2)
		party[i].life = RING_STOPPED;
	block(FROM_HTTPD, 2);
	strcpy(party[HTTPD].board, "committed 2\nheld - 2 1 admin\n");
	trouble = find(NULL, 1);
	ck_assert_str_eq(sentence(trouble),
	    "everything is blocked: weir-broker (pid 100) is stopped by a "
	    "signal or a debugger, its last sign of life was 500 ms ago; 2 "
	    "messages (2K of 64K) wait in httpd→broker; httpd holds 1 "
	    "client (admin) for it; httpd waits for 2 receipts");
	ck_assert_str_eq(command(trouble), "kill -CONT 100");
	find("cloud", 1);
	find("httpd", 1);
	for (unsigned i = 0; i < 6; i += 2)
		party[i].life = RING_DEAD;
	trouble = find("plant", 1);
	ck_assert_int_eq(trouble->party->role, RING_ROLE_BROKER);
}
END_TEST

START_TEST(a_dead_httpd_serves_nobody)
{
	party[HTTPD].life = RING_DEAD;
	strcpy(party[HTTPD].board, "committed 1\nheld - 1 1 admin\n");
	ck_assert_str_eq(sentence(find(NULL, 1)),
	    "HTTP is not served: weir-httpd (pid 101) is dead, its last sign "
	    "of life was 500 ms ago; nothing waits for it yet");
	party[HTTPD].life = RING_STOPPED;
	ck_assert_ptr_nonnull(
	    strstr(sentence(find(NULL, 1)), "httpd holds 1 client (admin)"));
}
END_TEST

START_TEST(receipts_that_are_not_taken_block_http)
{
	const struct why_trouble *trouble;

	block(TO_HTTPD, 12);
	block(FROM_HTTPD, 5);
	strcpy(party[HTTPD].board, "committed 17\nheld - 17 4 admin\n");
	trouble = find(NULL, 1);
	ck_assert_int_eq(trouble->kind, WHY_RECEIPTS);
	ck_assert_str_eq(sentence(trouble),
	    "broker→httpd is blocked: weir-httpd (pid 101) runs and takes no "
	    "receipts for 14 s; 12 messages (12K of 64K) wait in "
	    "broker→httpd; httpd holds 4 clients (admin) for it; httpd "
	    "waits for 17 receipts");
	ck_assert_str_eq(trouble->subject, "broker→httpd");
	ck_assert_ptr_eq(trouble->party, &party[HTTPD]);
	/* It could read them and sleeps. */
	party[HTTPD].is_asleep = true;
	trouble = find(NULL, 1);
	ck_assert_int_eq(trouble->kind, WHY_LOST_WAKE);
	ck_assert_str_eq(command(trouble), "weirctl rings --json");
}
END_TEST

START_TEST(a_bridge_that_sleeps_with_work_to_do_is_a_bug)
{
	const struct why_trouble *trouble;

	block(TO_CLOUD, 3);
	ck_assert_int_eq(find(NULL, 1)->kind, WHY_UNKNOWN);
	party[CLOUD].is_asleep = true;
	party[CLOUD].sleeps = 8;
	party[CLOUD].empty_wakes = 1;
	trouble = find(NULL, 1);
	ck_assert_int_eq(trouble->kind, WHY_LOST_WAKE);
	ck_assert_str_eq(sentence(trouble),
	    "broker→cloud is blocked: a wake-up was lost, which is a bug of "
	    "Weir: weir-bridged cloud (pid 102) sleeps for 14 s although it "
	    "could read (used 3072 of 65536, credit 500 of 1000 taken, in "
	    "flight 0 of 20, producer awake, consumer asleep, 8 sleeps, 1 "
	    "empty wakes); 3 messages (3K of 64K) wait in broker→cloud");
	find("cloud", 1);
	/* It has reasons to sleep, or may be just about to wake. */
	view[TO_CLOUD].in_flight = 1;
	ck_assert_int_eq(find(NULL, 1)->kind, WHY_REMOTE_STALLS);
	view[TO_CLOUD].in_flight = 0;
	view[TO_CLOUD].still_ns = 2 * SECOND - 1;
	ck_assert_int_eq(find(NULL, 1)->kind, WHY_UNKNOWN);
}
END_TEST

START_TEST(a_producer_that_sleeps_before_an_empty_ring_is_a_bug)
{
	const struct why_trouble *trouble;

	view[TO_CLOUD].state = RING_BLOCKED;
	view[TO_CLOUD].is_stalled = true;
	view[TO_CLOUD].still_ns = 3 * SECOND;
	party[BROKER_OF_CLOUD].is_asleep = true;
	trouble = find("cloud", 1);
	ck_assert_int_eq(trouble->kind, WHY_LOST_WAKE);
	ck_assert_ptr_eq(trouble->party, &party[BROKER_OF_CLOUD]);
	ck_assert_ptr_nonnull(strstr(sentence(trouble), "could write"));
	/* Without credit it waits with reason. */
	view[TO_CLOUD].credit_granted = view[TO_CLOUD].credit_used;
	ck_assert_int_ne(find("cloud", 1)->kind, WHY_LOST_WAKE);
}
END_TEST

START_TEST(a_lane_into_the_broker_has_its_own_trouble_only_if_nobody_holds_it)
{
	block(FROM_HTTPD, 2);
	party[BROKER_OF_HTTPD].is_asleep = true;
	ck_assert_int_eq(find(NULL, 1)->kind, WHY_LOST_WAKE);
	find("httpd", 1);
	find("cloud", 0);
	view[FROM_HTTPD].used = 0;
	view[FROM_HTTPD].is_stalled = true;
	party[HTTPD].is_asleep = true;
	ck_assert_ptr_eq(find(NULL, 1)->party, &party[HTTPD]);
	ck_assert_int_eq(why.trouble[0].kind, WHY_LOST_WAKE);
	/* Nothing else waits for that. */
	view[TO_HTTPD].used = 64;
	ck_assert_uint_eq(find(NULL, 1)->lane_count, 1);
	view[TO_HTTPD].used = 0;
	view[FROM_HTTPD].state = RING_IDLE;
	view[FROM_HTTPD].is_stalled = false;
	block(VIA_CLOUD, 2);
	ck_assert_int_eq(find(NULL, 1)->kind, WHY_LOST_WAKE);
	view[TO_CLOUD].state = RING_FLOW;
	find(NULL, 0);
}
END_TEST

START_TEST(a_ring_that_found_no_memory_is_told)
{
	const struct why_trouble *trouble;

	view[TO_CLOUD].grow_failures = 3;
	view[TO_CLOUD].max_capacity = 16 << 20;
	find(NULL, 0);
	view[TO_CLOUD].is_stalled = true;
	view[TO_CLOUD].used = 65536;
	view[TO_CLOUD].state = RING_FLOW;
	trouble = find("cloud", 1);
	ck_assert_int_eq(trouble->kind, WHY_NO_MEMORY);
	ck_assert_str_eq(sentence(trouble),
	    "broker→cloud cannot grow: there was no memory for it 3 times, "
	    "it stays at 64K of the 16M that it may have; 0 messages (64K of "
	    "64K) wait in broker→cloud");
	ck_assert_str_eq(command(trouble), "free -m");
	/* It is that ring's trouble alone, although the broker writes it. */
	block(FROM_HTTPD, 1);
	ck_assert_uint_eq(find("cloud", 1)->lane_count, 1);
	view[FROM_HTTPD].state = RING_RUNNING;
	/* It has grown since. */
	view[TO_CLOUD].capacity = 16 << 20;
	find("cloud", 0);
}
END_TEST

START_TEST(two_troubles_are_two)
{
	block(TO_CLOUD, 1);
	view[TO_CLOUD].in_flight = 20;
	party[PLANT].life = RING_STOPPED;
	block(TO_PLANT, 1);
	find(NULL, 2);
	ck_assert_str_eq(find("plant", 1)->subject, "plant");
	ck_assert_str_eq(find("cloud", 1)->subject, "cloud");
}
END_TEST

/* Left over by a broker that is gone: not this installation's trouble. */
START_TEST(an_older_instance_does_not_count)
{
	party[CLOUD].life = RING_DEAD;
	block(TO_CLOUD, 1);
	memset(view[TO_CLOUD].instance, 1, 16);
	memset(party[CLOUD].instance, 1, 16);
	memset(view[FROM_CLOUD].instance, 1, 16);
	strcpy(party[HTTPD].board, "committed 1\n");
	memset(party[HTTPD].instance, 2, 16);
	/* The living one is sorted first. */
	view[TO_CLOUD] = view[TO_PLANT];
	find(NULL, 0);
	/* Of another installation it does. */
	snprintf(view[FROM_CLOUD].run_dir, RING_RUN_DIR_MAX, "/another");
	ck_assert_uint_eq(find(NULL, 1)->receipts, 0);
	ck_assert_uint_eq(why.trouble[0].clients.clients, 0);
}
END_TEST

START_TEST(boards_may_be_garbage)
{
	static const char *const boards[] = { "backlog", "backlog 1 2",
		"journal x 1", "held", "held cloud", "held cloud x y z\n",
		"publishers\n\n\n", "error\n", "\n",
		"held cloud 18446744073709551616 -1 ,,,\n", "remote \n" };

	block(TO_CLOUD, 1);
	view[TO_CLOUD].in_flight = 20;
	for (size_t i = 0; i < sizeof(boards) / sizeof(boards[0]); i++) {
		for (unsigned p = 0; p < 6; p++)
			strcpy(party[p].board, boards[i]);
		ck_assert_ptr_nonnull(
		    strstr(sentence(find(NULL, 1)), "cloud is blocked"));
	}
	/* A line as long as a board. */
	for (unsigned p = 0; p < 6; p++) {
		memset(party[p].board, 'x', BOARD_MAX);
		party[p].board[BOARD_MAX] = '\0';
	}
	find(NULL, 1);
}
END_TEST

START_TEST(each_name_is_given_once)
{
	struct why_held held;

	why_board_clients("nokey\nheld cloud 1 1 a,b,,a\nheld cloud 2 2 b,ab\n"
			  "akeythatistoolongforone 7 7 7\n",
	    "cloud", &held);
	ck_assert_str_eq(held.names, "a, b, ab");
	ck_assert_uint_eq(held.named, 3);
	ck_assert_uint_eq(held.clients, 3);
	ck_assert_uint_eq(held.messages, 3);
}
END_TEST

START_TEST(more_names_than_fit_are_others)
{
	struct why_held held;
	char board[BOARD_MAX + 1], names[600] = "";

	why_board_publishers("publishers 9 a,b,+\n", &held);
	ck_assert_str_eq(held.names, "a, b and others");
	why_board_publishers("committed 3 x\npublishers 9 +\n", &held);
	ck_assert_str_eq(held.names, "");
	ck_assert_uint_eq(held.clients, 9);
	for (unsigned i = 0; i < 10; i++)
		snprintf(names + strlen(names), sizeof(names) - strlen(names),
		    "%s%u%050u", i == 0 ? "" : ",", i, 0);
	snprintf(board, sizeof(board), "publishers 10 %s\n", names);
	why_board_publishers(board, &held);
	ck_assert_uint_eq(held.named, 4);
	ck_assert_ptr_nonnull(strstr(held.names, " and others"));
}
END_TEST

START_TEST(a_lane_that_is_well_says_how_it_does)
{
	char text[500] = "";
	FILE *out = fmemopen(text, sizeof(text), "w");

	view[TO_CLOUD].state = RING_FLOW;
	view[TO_CLOUD].in_flight = 20;
	view[TO_CLOUD].messages_in = 30;
	view[TO_CLOUD].messages_out = 5;
	view[TO_CLOUD].used = 2048;
	why_print_fine(&view[TO_CLOUD], NOW, out);
	fclose(out);
	ck_assert_str_eq(text,
	    "broker→cloud is flow: 25 messages (2K of 64K) are under way, "
	    "remote 10.0.0.9:1883 has 20 of 20 messages unacknowledged");
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("why");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, all_is_well);
	tcase_add_test(tc, an_unknown_name_is_told);
	tcase_add_test(tc, a_stalled_remote_is_followed_to_its_publishers);
	tcase_add_test(tc, a_remote_that_does_not_read_stalls_too);
	tcase_add_test(tc, a_remote_that_is_away_says_since_when_and_why);
	tcase_add_test(tc, what_waits_in_the_journal_is_told_with_its_bridge);
	tcase_add_test(tc, a_disk_that_hangs_blocks_what_waits_for_it);
	tcase_add_test(tc, a_remote_may_ask_for_a_pause);
	tcase_add_test(tc, a_bridge_may_keep_to_its_own_rate);
	tcase_add_test(tc, dead_stopped_hung_and_absent_bridges_are_told_apart);
	tcase_add_test(tc, a_bridge_that_ended_is_missed_only_when_needed);
	tcase_add_test(tc, without_the_broker_everything_is_blocked);
	tcase_add_test(tc, a_dead_httpd_serves_nobody);
	tcase_add_test(tc, receipts_that_are_not_taken_block_http);
	tcase_add_test(tc, a_bridge_that_sleeps_with_work_to_do_is_a_bug);
	tcase_add_test(
	    tc, a_producer_that_sleeps_before_an_empty_ring_is_a_bug);
	tcase_add_test(tc,
	    a_lane_into_the_broker_has_its_own_trouble_only_if_nobody_holds_it);
	tcase_add_test(tc, a_ring_that_found_no_memory_is_told);
	tcase_add_test(tc, two_troubles_are_two);
	tcase_add_test(tc, an_older_instance_does_not_count);
	tcase_add_test(tc, boards_may_be_garbage);
	tcase_add_test(tc, each_name_is_given_once);
	tcase_add_test(tc, more_names_than_fit_are_others);
	tcase_add_test(tc, a_lane_that_is_well_says_how_it_does);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
