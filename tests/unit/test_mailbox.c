/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/mailbox.h"

#include <poll.h>
#include <pthread.h>

#include "tests/unit/unit.h"

#define WRITERS 3
#define LETTERS 20000

struct letter {
	struct mail mail;
	unsigned writer;
	unsigned number;
};

/* The owner: what it saw of each writer. */
struct reader {
	unsigned seen[WRITERS];
	bool in_order;
};

static void
read_letter(struct mail *mail, void *owner)
{
	struct letter *letter = (struct letter *)mail;
	struct reader *reader = owner;

	if (letter->number != reader->seen[letter->writer])
		reader->in_order = false;
	reader->seen[letter->writer]++;
}

static bool
is_ringing(const struct mailbox *mailbox)
{
	struct pollfd fd = { .fd = mailbox_fd(mailbox), .events = POLLIN };

	return poll(&fd, 1, 0) == 1;
}

static struct letter
letter(unsigned number)
{
	return (struct letter){ .mail.open = read_letter, .number = number };
}

START_TEST(opens_letters_in_their_order)
{
	struct reader reader = { .in_order = true };
	struct mailbox *mailbox = mailbox_new(&reader);
	struct letter a = letter(0), b = letter(1), c = letter(2);

	mailbox_put(mailbox, &a.mail);
	mailbox_put(mailbox, &b.mail);
	mailbox_put(mailbox, &c.mail);
	ck_assert_uint_eq(mailbox_open(mailbox, 0), 3);
	ck_assert(reader.in_order);
	ck_assert_uint_eq(mailbox_open(mailbox, 0), 0);
	mailbox_free(mailbox);
}
END_TEST

START_TEST(rings_once_for_a_batch_and_again_after_it_was_read)
{
	struct reader reader = { .in_order = true };
	struct mailbox *mailbox = mailbox_new(&reader);
	struct letter a = letter(0), b = letter(1);

	mailbox_put(mailbox, &a.mail);
	ck_assert(!is_ringing(mailbox));
	mailbox_wake(mailbox);
	mailbox_wake(mailbox);
	ck_assert(is_ringing(mailbox));
	mailbox_open(mailbox, 0);
	ck_assert(!is_ringing(mailbox));
	mailbox_put(mailbox, &b.mail);
	mailbox_wake(mailbox);
	ck_assert(is_ringing(mailbox));
	mailbox_open(mailbox, 0);
	mailbox_free(mailbox);
}
END_TEST

START_TEST(rings_itself_when_letters_are_left_over)
{
	struct reader reader = { .in_order = true };
	struct mailbox *mailbox = mailbox_new(&reader);
	struct letter a = letter(0), b = letter(1);

	mailbox_put(mailbox, &a.mail);
	mailbox_put(mailbox, &b.mail);
	mailbox_wake(mailbox);
	ck_assert_uint_eq(mailbox_open(mailbox, 1), 1);
	ck_assert(is_ringing(mailbox));
	ck_assert_uint_eq(mailbox_open(mailbox, 0), 1);
	ck_assert(!is_ringing(mailbox));
	mailbox_free(mailbox);
}
END_TEST

struct writer {
	struct mailbox *mailbox;
	struct letter *letters;
	unsigned number;
};

static void *
write_letters(void *arg)
{
	struct writer *writer = arg;

	for (unsigned i = 0; i < LETTERS; i++) {
		writer->letters[i] = letter(i);
		writer->letters[i].writer = writer->number;
		mailbox_put(writer->mailbox, &writer->letters[i].mail);
		if (i % 7 == 6)
			mailbox_wake(writer->mailbox);
	}
	mailbox_wake(writer->mailbox);
	return NULL;
}

/* The promise: none lost, none late, each writer's in order. */
START_TEST(loses_nothing_and_never_sleeps_over_mail)
{
	struct reader reader = { .in_order = true };
	struct mailbox *mailbox = mailbox_new(&reader);
	struct writer writers[WRITERS];
	pthread_t threads[WRITERS];
	struct pollfd fd = { .fd = mailbox_fd(mailbox), .events = POLLIN };
	unsigned opened = 0;

	for (unsigned i = 0; i < WRITERS; i++) {
		writers[i] = (struct writer){ mailbox,
			calloc(LETTERS, sizeof(struct letter)), i };
		ck_assert_int_eq(pthread_create(&threads[i], NULL,
				     write_letters, &writers[i]),
		    0);
	}
	while (opened < WRITERS * LETTERS) {
		ck_assert_int_eq(poll(&fd, 1, 5000), 1);
		opened += mailbox_open(mailbox, 100);
	}
	ck_assert(reader.in_order);
	for (unsigned i = 0; i < WRITERS; i++) {
		pthread_join(threads[i], NULL);
		ck_assert_uint_eq(reader.seen[i], LETTERS);
		free(writers[i].letters);
	}
	mailbox_open(mailbox, 0);
	mailbox_free(mailbox);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("mailbox");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, opens_letters_in_their_order);
	tcase_add_test(tc, rings_once_for_a_batch_and_again_after_it_was_read);
	tcase_add_test(tc, rings_itself_when_letters_are_left_over);
	tcase_add_test(tc, loses_nothing_and_never_sleeps_over_mail);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
