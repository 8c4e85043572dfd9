/* SPDX-License-Identifier: Apache-2.0 */

/* The books of a bridge: both sums, over lives of the broker and of rings. */

#include "broker/links_terms.h"

#include "broker/links_feed.h"
#include "tests/unit/links_journal_box.h"

#define LARGE 4000

static struct offers http;

static void
begin(void)
{
	overflow = CONF_OVERFLOW_STALL;
	backlog = 1 << 20;
	set_up_journal();
	attach(&httpd, RING_ROLE_HTTPD, "httpd");
	grant_all(&httpd);
	ck_assert_int_eq(open_lane(&httpd, "cloud"), 1);
}

static void
attach_bridge(void)
{
	attach(&bridge, RING_ROLE_BRIDGE, "cloud");
	grant_all(&bridge);
	run_all();
}

static void
publish_all(uint32_t lane, const char *topic, size_t size, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		for (int turns = 0; publish(&httpd, lane, topic, size) != 0;) {
			run_all();
			receipts(0);
			ck_assert_int_lt(turns++, 20);
		}
		run_all();
	}
}

static unsigned
take(unsigned most, const struct ring_outcome *outcome)
{
	struct ring_consumer *consumer = ring_link_consumer(bridge.link, 0);
	struct ring_record got;
	const void *body;
	unsigned count = 0;

	while (count < most && ring_peek(consumer, &got, &body) == 1) {
		ring_release(consumer, ring_next(consumer), outcome, 0);
		count++;
	}
	ring_link_wake(bridge.link);
	grant_all(&bridge);
	run_all();
	return count;
}

static const struct ring_outcome delivered = { .delivered = 1 };
static const struct ring_outcome dropped = { .dropped = 1 };
static const struct ring_outcome dead = { .dead = 1 };

/* Of a bridge, by its link; the second sum comes out. */
static struct links_terms
terms_of(unsigned link)
{
	struct links_terms terms;

	links_terms_read_http(broker.links, &http);
	links_terms_of(broker.links->endpoints[link], &http, &terms);
	ck_assert_uint_eq(terms.given,
	    terms.delivered + terms.queued + terms.dropped + terms.dead);
	return terms;
}

static void
expect(uint64_t given, uint64_t out, uint64_t lost, uint64_t buried)
{
	const struct links_terms terms = terms_of(1);

	ck_assert_uint_eq(terms.given, given);
	ck_assert_uint_eq(terms.delivered, out);
	ck_assert_uint_eq(terms.dropped, lost);
	ck_assert_uint_eq(terms.dead, buried);
}

/* Nobody keeps memory, and all programs die. */
static void
lose_memory(void)
{
	kill_program(&bridge);
	kill_program(&httpd);
	while (kept_count > 0)
		close(kept[--kept_count].fd);
}

/* Once a second, as the broker does. */
static void
write_books(void)
{
	links_feed_beat(broker.links);
	links_terms_beat(broker.links);
}

/* The floor, too, may be older than the books: what it says wait waits. */
START_TEST(a_floor_that_is_behind_gives_some_again)
{
	begin();
	attach_bridge();
	publish_all(1, "cloud/x", 100, 20);
	take(7, &delivered);
	take(2, &dead);
	links_terms_beat(broker.links);
	lose_memory();
	ck_assert_uint_eq(floor_of("cloud"), 0);
	restart();
	expect(20, 0, 0, 0);
	tear_down_journal();
}
END_TEST

/* What the ring gave back since is not known to be dead or dropped. */
START_TEST(books_that_are_behind_the_floor_count_as_delivered)
{
	begin();
	attach_bridge();
	publish_all(1, "cloud/x", 100, 20);
	take(7, &delivered);
	write_books();
	take(2, &dead);
	links_feed_beat(broker.links);
	lose_memory();
	restart();
	expect(20, 9, 0, 0);
	ck_assert_uint_eq(terms_of(1).queued, 11);
	tear_down_journal();
}
END_TEST

START_TEST(given_is_what_became_of_it)
{
	begin();
	publish_all(1, "cloud/x", LARGE, 120);
	expect(120, 0, 0, 0);
	attach_bridge();
	take(10, &delivered);
	take(3, &dropped);
	take(2, &dead);
	expect(120, 10, 3, 2);
	tear_down_journal();
}
END_TEST

START_TEST(the_books_go_on_with_a_ring_that_is_kept)
{
	begin();
	attach_bridge();
	publish_all(1, "cloud/x", 100, 20);
	take(7, &delivered);
	take(2, &dead);
	write_books();
	/* What comes after they were written is counted by the ring. */
	take(3, &delivered);
	publish_all(1, "cloud/x", 100, 5);
	restart();
	run_all();
	expect(25, 10, 0, 2);
	take(100, &delivered);
	expect(25, 23, 0, 2);
	restart();
	run_all();
	expect(25, 23, 0, 2);
	tear_down_journal();
}
END_TEST

START_TEST(the_books_go_on_without_the_ring)
{
	begin();
	attach_bridge();
	publish_all(1, "cloud/x", 100, 20);
	take(7, &delivered);
	take(2, &dead);
	write_books();
	lose_memory();
	restart();
	attach_bridge();
	expect(20, 7, 0, 2);
	take(100, &delivered);
	expect(20, 18, 0, 2);
	write_books();
	lose_memory();
	restart();
	expect(20, 18, 0, 2);
	tear_down_journal();
}
END_TEST

START_TEST(a_link_that_breaks_keeps_what_it_counted)
{
	begin();
	attach_bridge();
	publish_all(1, "cloud/x", 100, 20);
	take(7, &delivered);
	take(1, &dropped);
	broker.links->endpoints[1]->fault = "the test says so";
	loop_again(broker.loop);
	run_all();
	expect(20, 7, 1, 0);
	kill_program(&bridge);
	attach_bridge();
	take(100, &delivered);
	expect(20, 19, 1, 0);
	write_books();
	restart();
	run_all();
	expect(20, 19, 1, 0);
	tear_down_journal();
}
END_TEST

/* ---- producers ------------------------------------------------------------
 */

static void
httpd_says(const char *name, uint64_t offered, uint64_t accepted,
    uint64_t refused, uint64_t unknown)
{
	struct offers *notes = ring_link_notes(httpd.link);

	notes->magic = OFFERS_MAGIC;
	snprintf(notes->rows[0].name, OFFERS_NAME_SIZE, "%s", name);
	notes->rows[0].offered = offered;
	notes->rows[0].accepted = accepted;
	notes->rows[0].refused = refused;
	notes->rows[0].unknown = unknown;
}

static void
expect_producers(unsigned link, uint64_t offered, uint64_t accepted,
    uint64_t declined, uint64_t unknown)
{
	const struct links_terms terms = terms_of(link);

	ck_assert_uint_eq(terms.producers.offered, offered);
	ck_assert_uint_eq(terms.producers.accepted, accepted);
	ck_assert_uint_eq(terms.producers.declined, declined);
	ck_assert_uint_eq(terms.producers.unknown, unknown);
}

START_TEST(httpd_counts_for_the_bridges_of_its_lanes)
{
	begin();
	publish_all(1, "cloud/x", 100, 6);
	expect_producers(1, 0, 0, 0, 0);
	httpd_says("cloud", 9, 6, 2, 1);
	expect_producers(1, 9, 6, 2, 1);
	httpd_says("clou", 9, 6, 2, 1);
	expect_producers(1, 0, 0, 0, 0);
	tear_down_journal();
}
END_TEST

START_TEST(the_broker_counts_for_the_others)
{
	begin();
	/* "loose" drops: httpd does not know it. */
	publish_all(1, "cloud/loose", 100, 6);
	expect_producers(1, 0, 0, 0, 0);
	expect_producers(3, 6, 6, 0, 0);
	tear_down_journal();
}
END_TEST

START_TEST(what_fails_is_not_accepted)
{
	begin();
	ck_assert_int_eq(publish(&httpd, 1, "cloud/loose", 10), 0);
	run();
	fail_all(MQTT_IMPLEMENTATION_SPECIFIC_ERROR);
	run_all();
	expect_producers(3, 1, 0, 1, 0);
	ck_assert_uint_eq(terms_of(3).given, 0);
	tear_down_journal();
}
END_TEST

START_TEST(httpds_memory_counts_once_over_lives)
{
	begin();
	httpd_says("cloud", 9, 6, 2, 1);
	write_books();
	httpd_says("cloud", 10, 7, 2, 1);
	restart();
	expect_producers(1, 10, 7, 2, 1);
	write_books();
	restart();
	expect_producers(1, 10, 7, 2, 1);
	/* With its memory what was open has no answer any more. */
	httpd_says("cloud", 13, 8, 2, 1);
	write_books();
	lose_memory();
	restart();
	expect_producers(1, 13, 8, 2, 3);
	attach(&httpd, RING_ROLE_HTTPD, "httpd");
	httpd_says("cloud", 1, 1, 0, 0);
	write_books();
	restart();
	expect_producers(1, 14, 9, 2, 3);
	tear_down_journal();
}
END_TEST

START_TEST(httpds_memory_is_kept_when_its_link_breaks)
{
	begin();
	httpd_says("cloud", 9, 6, 2, 1);
	broker.links->endpoints[0]->fault = "the test says so";
	loop_again(broker.loop);
	run_all();
	expect_producers(1, 9, 6, 2, 1);
	tear_down_journal();
}
END_TEST

/* What workers had offered and the journal has not was never answered. */
START_TEST(what_clients_had_under_way_is_settled_by_the_journal)
{
	struct links_offers *offers;

	begin();
	offers = &broker.links->endpoints[1]->output.offers;
	offers->offered = 10;
	offers->accepted = 6;
	write_books();
	/* One of the four came through. */
	journal[++journal_last] = (struct saved_message){
		.topic = "cloud/x",
		.parts = { .qos = 1, .link = MESSAGE_FROM_MQTT },
		.cursors = { broker.links->endpoints[1]->feed->cursor },
		.cursor_count = 1,
	};
	restart();
	run_all();
	expect_producers(1, 10, 7, 0, 3);
	ck_assert_uint_eq(terms_of(1).given, 1);
	tear_down_journal();
}
END_TEST

START_TEST(any_numbers_of_httpds_are_harmless)
{
	struct offers *notes;

	begin();
	notes = ring_link_notes(httpd.link);
	memset(notes, 0xff, sizeof(*notes));
	expect_producers(1, 0, 0, 0, 0);
	notes->magic = OFFERS_MAGIC;
	expect_producers(1, 0, 0, 0, 0);
	httpd_says("cloud", 1, UINT64_MAX, UINT64_MAX, 5);
	terms_of(1);
	write_books();
	restart();
	terms_of(1);
	tear_down_journal();
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("links_terms");
	TCase *tc = tcase_create("bridges"),
	      *producers = tcase_create("producers");

	tcase_add_test(tc, given_is_what_became_of_it);
	tcase_add_test(tc, the_books_go_on_with_a_ring_that_is_kept);
	tcase_add_test(tc, the_books_go_on_without_the_ring);
	tcase_add_test(tc, a_floor_that_is_behind_gives_some_again);
	tcase_add_test(tc, books_that_are_behind_the_floor_count_as_delivered);
	tcase_add_test(tc, a_link_that_breaks_keeps_what_it_counted);
	suite_add_tcase(suite, tc);
	tcase_add_test(producers, httpd_counts_for_the_bridges_of_its_lanes);
	tcase_add_test(producers, the_broker_counts_for_the_others);
	tcase_add_test(producers, what_fails_is_not_accepted);
	tcase_add_test(producers, httpds_memory_counts_once_over_lives);
	tcase_add_test(producers, httpds_memory_is_kept_when_its_link_breaks);
	tcase_add_test(
	    producers, what_clients_had_under_way_is_settled_by_the_journal);
	tcase_add_test(producers, any_numbers_of_httpds_are_harmless);
	suite_add_tcase(suite, producers);
	return unit_run(suite);
}
