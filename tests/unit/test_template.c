/* SPDX-License-Identifier: Apache-2.0 */

#include "common/base/template.h"

#include <stdio.h>

#include "tests/unit/unit.h"

/* The parts, as "[text]", "1", "rest", "topic", "bad", with spaces between. */
static const char *
parts_of(const char *text)
{
	static char words[256];
	struct template_part part;
	size_t len = 0;

	words[0] = '\0';
	while (template_next(&text, &part)) {
		char *at = words + len;
		size_t size = sizeof(words) - len;

		switch (part.kind) {
		case TEMPLATE_TEXT:
			snprintf(at, size, " [%.*s]", (int)part.text.len,
			    (const char *)part.text.data);
			break;
		case TEMPLATE_PLACE:
			snprintf(at, size, " %u", part.place);
			break;
		case TEMPLATE_REST:
			snprintf(at, size, " rest");
			break;
		case TEMPLATE_TOPIC:
			snprintf(at, size, " topic");
			break;
		case TEMPLATE_BAD:
			snprintf(at, size, " bad");
			break;
		}
		len = strlen(words);
	}
	return words;
}

START_TEST(takes_a_text_apart)
{
	ck_assert_str_eq(parts_of(""), "");
	ck_assert_str_eq(parts_of("a/b}"), " [a/b}]");
	ck_assert_str_eq(parts_of("s/{2}/{rest}"), " [s/] 2 [/] rest");
	ck_assert_str_eq(parts_of("{16}{1}{topic}"), " 16 1 topic");
	ck_assert_str_eq(parts_of("a{{1}"), " [a] [{] [1}]");
}
END_TEST

START_TEST(ends_at_a_brace_that_begins_nothing)
{
	ck_assert_str_eq(parts_of("a/{0}/b"), " [a/] bad");
	ck_assert_str_eq(parts_of("{01}"), " bad");
	ck_assert_str_eq(parts_of("{17}"), " bad");
	ck_assert_str_eq(parts_of("{99999999999999999999}"), " bad");
	ck_assert_str_eq(parts_of("{}"), " bad");
	ck_assert_str_eq(parts_of("{1"), " bad");
	ck_assert_str_eq(parts_of("{"), " bad");
	ck_assert_str_eq(parts_of("{Rest}"), " bad");
	ck_assert_str_eq(parts_of("{rest"), " bad");
}
END_TEST

START_TEST(finds_what_does_not_go_with_the_filter)
{
	static const struct {
		const char *text, *filter;
		bool is_bad;
	} cases[] = {
		{ "a/{1}/{2}/{rest}", "+/x/+/#", false },
		{ "{topic}", "a", false },
		{ "a/{{b", "a", false },
		{ "", "a", true },
		{ "{2}", "a/+", true },
		{ "{1}", "#", true },
		{ "{rest}", "a/+", true },
		{ "a/{b}", "a/+", true },
		{ "a/+", "a/+", true },
		{ "a/#", "a/#", true },
	};
	const char *fault;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fault = template_fault(cases[i].text, cases[i].filter);
		ck_assert_msg((fault != NULL) == cases[i].is_bad, "%s: %s",
		    cases[i].text, fault == NULL ? "good" : fault);
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("template");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, takes_a_text_apart);
	tcase_add_test(tc, ends_at_a_brace_that_begins_nothing);
	tcase_add_test(tc, finds_what_does_not_go_with_the_filter);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
