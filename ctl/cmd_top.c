/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/exit.h"
#include "common/ring/ring_inspect.h"
#include "ctl/ctl.h"
#include "ctl/top_model.h"
#include "ctl/top_screen.h"

/* The first rates are taken over this long. */
#define SAMPLE_NS (250 * CLOCK_MS_NS)
#define INTERVAL_LEAST_NS (100 * CLOCK_MS_NS)
#define INTERVAL_MOST_NS (3600 * CLOCK_SECOND_NS)

#define FILTER_SIZE 64

struct settings {
	const char *conf_path;
	const char *filter;
	enum top_sort sort;
	bool is_reversed;
	bool batch;
	uint64_t interval_ns;
	uint64_t count;
};

static const char *
set_sort(void *target, const char *value)
{
	struct settings *settings = target;

	settings->sort = top_sort_of(value);
	return settings->sort == TOP_SORTS
	    ? "one of name, state, fill, used, in, out, lag"
	    : NULL;
}

static const struct option_row rows[] = {
	{ 'b', "batch", NULL, "print CSV lines instead of a screen",
	    OPTION_FLAG, offsetof(struct settings, batch), NULL },
	{ 'c', "config", "FILE",
	    "show only the installation that FILE configures", OPTION_STRING,
	    offsetof(struct settings, conf_path), NULL },
	{ 'f', "filter", "TEXT",
	    "show only rings with TEXT in name, state or holder", OPTION_STRING,
	    offsetof(struct settings, filter), NULL },
	{ 'i', "interval", "TIME", "how often to look (default 1s)",
	    OPTION_DURATION, offsetof(struct settings, interval_ns), NULL },
	{ 'n', "count", "N", "end after N looks", OPTION_U64,
	    offsetof(struct settings, count), NULL },
	{ 'r', "reverse", NULL, "turn the order round", OPTION_FLAG,
	    offsetof(struct settings, is_reversed), NULL },
	{ 's', "sort", "KEY",
	    "order by name, state, fill, used, in, out or lag", OPTION_CALL, 0,
	    set_sort },
};

const struct options cmd_top_options = {
	.program = "weirctl top",
	.synopsis = "[-br] [-c FILE] [-f TEXT] [-i TIME] [-n N] [-s KEY]",
	.summary = "Watch the rings: how full they are, how fast they move, "
		   "who holds them, and\nthe last minute of each.  h lists the "
		   "keys.  Nobody's help is needed for it.",
	.rows = rows,
	.count = ARRAY_LENGTH(rows),
};

/* All that one run of it needs. */
struct top {
	const struct settings *settings;
	const char *run_dir;
	struct top_model *model;
	struct top_frame frame;
	char typed[FILTER_SIZE];
	uint64_t looks;
	uint64_t next_ns; /* the next look is due */
	bool is_over;
};

/* Take one look at the rings.  Returns 0 or -errno. */
static int
look(struct top *top)
{
	struct ring_views views;
	uint64_t now_ns = clock_now_ns();
	int err;

	err = ring_views_take(top->run_dir, now_ns, &views);
	if (err != 0)
		return err;
	err = top_model_update(top->model, &views, now_ns);
	top->frame.unreadable = views.unreadable;
	ring_views_free(&views);
	return err;
}

static void
sleep_ns(uint64_t ns)
{
	struct timespec left = { (time_t)(ns / CLOCK_SECOND_NS),
		(long)(ns % CLOCK_SECOND_NS) };

	while (nanosleep(&left, &left) == -1 && errno == EINTR)
		;
}

/* ---- CSV ------------------------------------------------------------------
 */

/* A field; in quotes if it has to be. */
static void
print_field(const char *text)
{
	if (strpbrk(text, ",\"\n\r") == NULL) {
		fputs(text, stdout);
		return;
	}
	putchar('"');
	for (; *text != '\0'; text++) {
		if (*text == '"')
			putchar('"');
		putchar(*text);
	}
	putchar('"');
}

/* "2026-11-26T20:54:01.123Z" */
static void
print_time(void)
{
	struct timespec now;
	char text[32];
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	printf("%s.%03ldZ", text, now.tv_nsec / 1000000);
}

static void
print_row(const struct top_row *row)
{
	print_time();
	putchar(',');
	print_field(row->name);
	printf(",%s,%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64
	       ",%" PRIu64 ",%" PRIu64 ",",
	    ring_state_name(row->state), row->used, row->capacity,
	    row->max_capacity, row->high_water, row->in_rate, row->out_rate,
	    row->lag_ns / CLOCK_MS_NS);
	print_field(row->held_by);
	putchar('\n');
}

static int
print_rows(const struct top *top)
{
	const struct top_row *row;

	for (size_t i = 0; (row = top_model_row(top->model, i)) != NULL; i++)
		print_row(row);
	return fflush(stdout) == 0 ? 0 : -errno;
}

static int
run_batch(struct top *top)
{
	const struct settings *settings = top->settings;
	int err;

	puts("time,name,state,used,capacity,max_capacity,high_water,in_per_s,"
	     "out_per_s,lag_ms,held_by");
	sleep_ns(SAMPLE_NS);
	for (;;) {
		err = look(top);
		if (err == 0)
			err = print_rows(top);
		if (err != 0 || ++top->looks == settings->count)
			return err;
		sleep_ns(settings->interval_ns);
	}
}

/* ---- the screen -----------------------------------------------------------
 */

/* While a filter is typed all keys belong to it. */
static void
type(struct top *top, int key)
{
	const size_t length = strlen(top->typed);

	if (key == TOP_KEY_ENTER || key == TOP_KEY_ESCAPE) {
		if (key == TOP_KEY_ESCAPE)
			top->typed[0] = '\0';
		top->frame.typed = NULL;
	} else if (key == TOP_KEY_ERASE) {
		if (length > 0)
			top->typed[length - 1] = '\0';
	} else if (key >= ' ' && key < 256 && length + 1 < FILTER_SIZE) {
		top->typed[length] = (char)key;
		top->typed[length + 1] = '\0';
	}
	top_model_filter(top->model, top->typed);
	top->frame.first = 0;
}

static void
scroll(struct top *top, int key)
{
	const size_t page = top_screen_rows();
	const size_t lanes = top_model_sum(top->model).lanes;
	const size_t last = lanes > page ? lanes - page : 0;
	const size_t step =
	    key == TOP_KEY_PAGE_UP || key == TOP_KEY_PAGE_DOWN ? page : 1;
	size_t first = top->frame.first;

	if (key == TOP_KEY_UP || key == TOP_KEY_PAGE_UP)
		first = first > step ? first - step : 0;
	else
		first += step;
	top->frame.first = first < last ? first : last;
}

static void
sort_by_key(struct top *top, int key)
{
	for (unsigned i = 0; i < TOP_SORTS; i++) {
		if (top_sort_key((enum top_sort)i) == key)
			top_model_sort(top->model, (enum top_sort)i);
	}
}

static void
press(struct top *top, int key)
{
	switch (key) {
	case 'q':
	case 'Q':
		top->is_over = true;
		break;
	case '/':
		top->frame.typed = top->typed;
		break;
	case 'p':
	case ' ':
		top->frame.is_paused = !top->frame.is_paused;
		break;
	case 'h':
	case '?':
		top->frame.is_help = !top->frame.is_help;
		break;
	case 'r':
		top_model_reverse(top->model);
		break;
	case 'k':
		scroll(top, TOP_KEY_UP);
		break;
	case 'j':
		scroll(top, TOP_KEY_DOWN);
		break;
	case TOP_KEY_UP:
	case TOP_KEY_DOWN:
	case TOP_KEY_PAGE_UP:
	case TOP_KEY_PAGE_DOWN:
		scroll(top, key);
		break;
	case TOP_KEY_ESCAPE:
		top->frame.is_help = false;
		break;
	default:
		sort_by_key(top, key);
		break;
	}
}

static int
look_when_due(struct top *top)
{
	const struct settings *settings = top->settings;
	uint64_t now_ns = clock_now_ns();
	int err = 0;

	if (now_ns < top->next_ns)
		return 0;
	top->next_ns = now_ns + settings->interval_ns;
	if (top->frame.is_paused)
		return 0;
	err = look(top);
	if (++top->looks == settings->count)
		top->is_over = true;
	return err;
}

/* Milliseconds to the next look, rounded up. */
static int
wait_ms(const struct top *top)
{
	uint64_t now_ns = clock_now_ns();

	if (now_ns >= top->next_ns)
		return 0;
	return (int)((top->next_ns - now_ns + CLOCK_MS_NS - 1) / CLOCK_MS_NS);
}

/* SIGTERM and a hang-up give the terminal back, too. */
static volatile sig_atomic_t is_told_to_end;

static void
on_signal(int number)
{
	(void)number;
	is_told_to_end = 1;
}

static void
catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal };

	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
}

static int
run_screen(struct top *top)
{
	int err = 0, key;

	top->next_ns = clock_now_ns() + SAMPLE_NS;
	while (!top->is_over && is_told_to_end == 0) {
		top_screen_draw(top->model, &top->frame);
		key = top_screen_key(wait_ms(top));
		if (key != TOP_KEY_NONE && top->frame.typed != NULL)
			type(top, key);
		else if (key != TOP_KEY_NONE)
			press(top, key);
		err = look_when_due(top);
		if (err != 0)
			break;
	}
	return err;
}

static int
open_screen(void)
{
	int err = top_screen_open();

	if (err == -ENOTTY)
		fputs("weirctl: top needs a terminal; --batch prints CSV "
		      "without one\n",
		    stderr);
	else if (err != 0)
		fprintf(stderr,
		    "weirctl: the terminal \"%s\" (TERM) is not known; "
		    "--batch prints CSV without one\n",
		    getenv("TERM") == NULL ? "" : getenv("TERM"));
	return err;
}

/* ---- the verb -------------------------------------------------------------
 */

static int
fail(int err)
{
	fprintf(stderr, "weirctl: cannot read the rings: %s\n", strerror(-err));
	return EXIT_FAILED;
}

static int
run(struct top *top)
{
	int err;

	err = look(top);
	if (err != 0)
		return fail(err);
	if (top_model_row(top->model, 0) == NULL &&
	    top_model_filtered_by(top->model)[0] == '\0') {
		fputs("weirctl: no rings: no weir-broker runs here, or its "
		      "processes may not be looked into (run as root)\n",
		    stderr);
		return EXIT_UNAVAILABLE;
	}
	if (top->settings->batch) {
		err = run_batch(top);
		return err == 0 ? EXIT_OK : fail(err);
	}
	if (open_screen() != 0)
		return EXIT_FAILED;
	catch_signals();
	err = run_screen(top);
	top_screen_close();
	return err == 0 ? EXIT_OK : fail(err);
}

static int
start(const struct settings *settings, const char *run_dir)
{
	struct top top = { .settings = settings, .run_dir = run_dir };
	int code;

	top.model = top_model_new();
	if (top.model == NULL)
		return fail(-ENOMEM);
	if (settings->filter != NULL)
		snprintf(top.typed, sizeof(top.typed), "%s", settings->filter);
	top_model_sort(top.model, settings->sort);
	top_model_filter(top.model, top.typed);
	if (settings->is_reversed)
		top_model_reverse(top.model);
	code = run(&top);
	top_model_free(top.model);
	return code;
}

int
cmd_top(const struct ctl *ctl, int argc, char **argv)
{
	struct settings settings = { .interval_ns = CLOCK_SECOND_NS };
	struct conf *conf;
	int code;

	code = options_parse(&cmd_top_options, &settings, &argc, argv);
	if (code != OPTIONS_GO)
		return code;
	if (argc > 1)
		return options_usage_error(&cmd_top_options,
		    "top takes no operand, not \"%s\"", argv[1]);
	if (settings.interval_ns < INTERVAL_LEAST_NS ||
	    settings.interval_ns > INTERVAL_MOST_NS)
		return options_usage_error(
		    &cmd_top_options, "--interval must be from 100ms to 1h");
	if (settings.filter != NULL && strlen(settings.filter) >= FILTER_SIZE)
		return options_usage_error(&cmd_top_options,
		    "--filter takes at most %d bytes", FILTER_SIZE - 1);
	code = ctl_load(ctl, settings.conf_path, &conf);
	if (code != EXIT_OK)
		return code;
	code = start(&settings, conf == NULL ? NULL : conf->run_dir);
	conf_free(conf);
	return code;
}
