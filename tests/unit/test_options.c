/* SPDX-License-Identifier: Apache-2.0 */

#include "common/base/options.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/base/exit.h"
#include "common/base/parse.h"
#include "tests/unit/unit.h"

struct settings {
	bool test;
	unsigned verbose;
	const char *path;
	uint64_t size;
	uint64_t wait_ns;
	uint64_t qos;
};

static const char *
set_qos(void *target, const char *value)
{
	if (strlen(value) != 1 || value[0] < '0' || value[0] > '2')
		return "one of 0, 1, 2";
	((struct settings *)target)->qos = (uint64_t)(value[0] - '0');
	return NULL;
}

static const struct option_row rows[] = {
	{ 't', "test", NULL, "check", OPTION_FLAG,
	    offsetof(struct settings, test), NULL },
	{ 'v', NULL, NULL, "say more", OPTION_COUNT,
	    offsetof(struct settings, verbose), NULL },
	{ 'c', "config", "FILE", "read it", OPTION_STRING,
	    offsetof(struct settings, path), NULL },
	{ 0, "size", "SIZE", "bytes", OPTION_SIZE,
	    offsetof(struct settings, size), NULL },
	{ 'q', "qos", "QOS", "quality", OPTION_CALL, 0, set_qos },
};

static const struct option_row more_rows[] = {
	{ 'w', "wait", "TIME", "wait", OPTION_DURATION,
	    offsetof(struct settings, wait_ns), NULL },
};

static struct settings settings, more_settings;
static char *arguments[16];
static int count;
static char said[4096]; /* on stdout and stderr */

/* Parses a line split at blanks; returns what options_parse() does. */
static int
parse(const char *line, bool stop_at_operand)
{
	static char copy[256];
	const struct options more = { .rows = more_rows, .count = 1 };
	const struct options options = { .program = "prog",
		.synopsis = "[-tv]",
		.rows = rows,
		.count = ARRAY_LENGTH(rows),
		.more = &more,
		.more_target = &more_settings,
		.stop_at_operand = stop_at_operand };
	FILE *capture = tmpfile();
	int code, out, err;
	char *rest = copy;
	size_t len;

	settings = more_settings = (struct settings){ 0 };
	snprintf(copy, sizeof(copy), "prog %s", line);
	for (count = 0; rest != NULL && count < 15; count++)
		arguments[count] = strsep(&rest, " ");
	arguments[count] = NULL;

	fflush(stdout);
	out = dup(1);
	err = dup(2);
	dup2(fileno(capture), 1);
	dup2(fileno(capture), 2);
	code = options_parse(&options, &settings, &count, arguments);
	fflush(stdout);
	dup2(out, 1);
	dup2(err, 2);
	close(out);
	close(err);
	rewind(capture);
	len = fread(said, 1, sizeof(said) - 1, capture);
	said[len] = '\0';
	fclose(capture);
	return code;
}

START_TEST(reads_all_ways_to_write_an_option)
{
	ck_assert_int_eq(
	    parse("-tvv -c a --size=64KiB -w 2s --qos 2", false), OPTIONS_GO);
	ck_assert(settings.test);
	ck_assert_uint_eq(settings.verbose, 2);
	ck_assert_str_eq(settings.path, "a");
	ck_assert_uint_eq(settings.size, 65536);
	ck_assert_uint_eq(settings.qos, 2);
	ck_assert_uint_eq(more_settings.wait_ns, 2000000000);
	ck_assert_int_eq(parse("-vcb", false), OPTIONS_GO);
	ck_assert_str_eq(settings.path, "b");
	ck_assert_str_eq(said, "");
}
END_TEST

START_TEST(leaves_operands_in_order)
{
	ck_assert_int_eq(parse("one -t two - -- -v", false), OPTIONS_GO);
	ck_assert_int_eq(count, 5);
	ck_assert_str_eq(arguments[1], "one");
	ck_assert_str_eq(arguments[2], "two");
	ck_assert_str_eq(arguments[3], "-");
	ck_assert_str_eq(arguments[4], "-v");
	ck_assert_ptr_null(arguments[5]);
	ck_assert_uint_eq(settings.verbose, 0);
}
END_TEST

START_TEST(stops_at_a_verb)
{
	ck_assert_int_eq(parse("-t verb -x --any", true), OPTIONS_GO);
	ck_assert_int_eq(count, 4);
	ck_assert_str_eq(arguments[2], "-x");
}
END_TEST

static void
refused(const char *line, const char *wanted)
{
	ck_assert_int_eq(parse(line, false), EXIT_USAGE);
	ck_assert_msg(strstr(said, wanted) != NULL &&
		strstr(said, "try prog --help") != NULL,
	    "%s", said);
}

START_TEST(names_what_it_does_not_take)
{
	refused("-x", "unknown option -x");
	refused("--confg a", "unknown option --confg");
	refused("--test=1", "--test takes no value");
	refused("-c", "-c needs a value (FILE)");
	refused("--size 5KB", "\"5KB\" is not a size");
	refused("-q 3", "\"3\" is not one of 0, 1, 2");
}
END_TEST

START_TEST(prints_help_and_leaves)
{
	ck_assert_int_eq(parse("--help", false), EXIT_OK);
	ck_assert_ptr_nonnull(strstr(said, "usage: prog [-tv]\n"));
	ck_assert_ptr_nonnull(strstr(said, "  -c, --config FILE  read it\n"));
	ck_assert_ptr_nonnull(strstr(said, "      --size SIZE    bytes\n"));
	ck_assert_ptr_nonnull(strstr(said, "  -w, --wait TIME    wait\n"));
	ck_assert_int_eq(parse("--version", false), EXIT_OK);
	ck_assert_str_eq(said, "prog " PACKAGE_VERSION "\n");
	ck_assert_int_eq(parse("--help=mdoc", false), EXIT_OK);
	ck_assert_ptr_nonnull(
	    strstr(said, ".It Fl c , Fl -config Ar FILE\nRead it.\n"));
	ck_assert_int_eq(parse("--help=words", false), EXIT_OK);
	ck_assert_ptr_nonnull(strstr(said, "-c\n--config\n"));
}
END_TEST

START_TEST(measures_are_exact_or_refused)
{
	uint64_t n = 7;

	ck_assert_int_eq(parse_size("16777216TiB", &n), -EINVAL);
	ck_assert_int_eq(parse_size("17179869184GiB", &n), -ERANGE);
	ck_assert_int_eq(parse_u64("18446744073709551616", &n), -ERANGE);
	ck_assert_int_eq(parse_u64("+1", &n), -EINVAL);
	ck_assert_int_eq(parse_u64("", &n), -EINVAL);
	ck_assert_int_eq(parse_duration("5", &n), -EINVAL);
	ck_assert_int_eq(parse_duration("1 s", &n), -EINVAL);
	ck_assert_uint_eq(n, 7);
	ck_assert_int_eq(parse_u64("18446744073709551615", &n), 0);
	ck_assert_uint_eq(n, UINT64_MAX);
	ck_assert_int_eq(parse_duration("10min", &n), 0);
	ck_assert_uint_eq(n, 600000000000);
}
END_TEST

/* The promise: what is printed reads back as the same number. */
START_TEST(measures_read_back_as_they_were_printed)
{
	uint64_t dice = 88172645463325252ull, value, back;
	char text[PARSE_TEXT_SIZE];

	for (int i = 0; i < 2000; i++) {
		dice ^= dice << 13;
		dice ^= dice >> 7;
		dice ^= dice << 17;
		value = (dice >> (dice % 64)) << (dice % 31);
		ck_assert_int_eq(
		    parse_size(format_size(value, text), &back), 0);
		ck_assert_uint_eq(back, value);
		ck_assert_int_eq(
		    parse_duration(format_duration(value, text), &back), 0);
		ck_assert_uint_eq(back, value);
	}
	ck_assert_str_eq(format_size(262144, text), "256KiB");
	ck_assert_str_eq(format_duration(1500000000, text), "1500ms");
}
END_TEST

START_TEST(addresses_have_a_host_and_a_port)
{
	struct host_port a;

	ck_assert_int_eq(parse_host_port("[::1]:1883", &a), 0);
	ck_assert_str_eq(a.host, "::1");
	ck_assert_uint_eq(a.port, 1883);
	ck_assert_int_eq(parse_host_port(":0", &a), 0);
	ck_assert_str_eq(a.host, "");
	ck_assert_int_eq(parse_host_port("::1:1883", &a), -EINVAL);
	ck_assert_int_eq(parse_host_port("host", &a), -EINVAL);
	ck_assert_int_eq(parse_host_port("[::1]", &a), -EINVAL);
	ck_assert_int_eq(parse_host_port("h:65536", &a), -ERANGE);
	ck_assert_int_eq(parse_host_port("h:1x", &a), -EINVAL);
	ck_assert(parse_is_loopback("127.9.0.1"));
	ck_assert(!parse_is_loopback("128.0.0.1"));
	ck_assert(!parse_is_loopback("127.0.0.1.example"));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("options");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, reads_all_ways_to_write_an_option);
	tcase_add_test(tc, leaves_operands_in_order);
	tcase_add_test(tc, stops_at_a_verb);
	tcase_add_test(tc, names_what_it_does_not_take);
	tcase_add_test(tc, prints_help_and_leaves);
	tcase_add_test(tc, measures_are_exact_or_refused);
	tcase_add_test(tc, measures_read_back_as_they_were_printed);
	tcase_add_test(tc, addresses_have_a_host_and_a_port);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
