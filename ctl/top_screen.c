/* SPDX-License-Identifier: Apache-2.0 */

#define NCURSES_WIDECHAR 1

#include "ctl/top_screen.h"

#include <errno.h>
#include <ncurses.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

#include "ctl/table.h"

#define TEXT_SIZE 512

/* Title and column heads above the rows, one line below them. */
#define LINES_ABOVE 2
#define LINES_BELOW 1
#define LINES_A_ROW 2

/* The columns to the right of the lane's name, and how wide they are. */
static const struct {
	const char *head;
	int width;
	bool is_right;
} columns[] = {
	{ "STATE", 9, false },
	{ "FILL", 10, false },
	{ "USED/CAP/MAX", 14, false },
	{ "HIGH", 5, true },
	{ "IN/s", 6, true },
	{ "OUT/s", 6, true },
	{ "LAG", 5, true },
};

#define COLUMNS (sizeof(columns) / sizeof(columns[0]))
#define NAME_LEAST 16
#define NAME_MOST 48

/* Colour pairs; without colours they are attributes. */
enum paint {
	PAINT_PLAIN,
	PAINT_WELL,
	PAINT_SLOW,
	PAINT_BAD,
	PAINT_GONE,
	PAINT_FAINT,
	PAINTS
};

static const struct {
	short colour;
	attr_t without; /* colours */
} paints[PAINTS] = {
	[PAINT_PLAIN] = { -1, A_NORMAL },
	[PAINT_WELL] = { COLOR_GREEN, A_NORMAL },
	[PAINT_SLOW] = { COLOR_YELLOW, A_BOLD },
	[PAINT_BAD] = { COLOR_RED, A_REVERSE },
	[PAINT_GONE] = { COLOR_MAGENTA, A_UNDERLINE },
	[PAINT_FAINT] = { COLOR_CYAN, A_DIM },
};

static const char *const help[] = {
	"Keys",
	"  n s f u i o l   sort by name, state, fill, used, in, out, lag",
	"  r               turn the order round",
	"  /               show only lanes with a text in name, state or "
	"holder;",
	"                  Enter takes it, Escape shows all again",
	"  p or blank      pause and go on",
	"  arrows, j k     scroll",
	"  q               quit",
	"",
	"The second line of a lane is its last minute, a character a second,",
	"the newest to the right, and who holds it:",
	"  .  idle         -  running       ~  flow: slowed by missing credit",
	"  #  blocked      x  a process is gone      o  both are gone",
	"",
	"`weirctl why NAME` says why a lane is blocked, and what to do.",
	NULL,
};

static attr_t
attribute(enum paint paint)
{
	if (!has_colors())
		return paints[paint].without;
	return (attr_t)COLOR_PAIR(paint);
}

static enum paint
paint_of(char mark)
{
	switch (mark) {
	case '-':
		return PAINT_WELL;
	case '~':
		return PAINT_SLOW;
	case '#':
		return PAINT_BAD;
	case 'x':
	case 'o':
		return PAINT_GONE;
	default:
		return PAINT_FAINT;
	}
}

/* ---- writing --------------------------------------------------------------
 */

/* As wide characters; what is no text in this locale becomes '?'. */
static void
widen(const char *text, wchar_t *wide, size_t size)
{
	mbstate_t state = { 0 };
	size_t used = 0, length;
	wchar_t c;

	for (; *text != '\0' && used + 1 < size; text += length) {
		length = mbrtowc(&c, text, MB_CUR_MAX, &state);
		if (length == (size_t)-1 || length == (size_t)-2) {
			memset(&state, 0, sizeof(state));
			length = 1;
			c = L'?';
		}
		wide[used++] = wcwidth(c) < 0 ? L'?' : c;
	}
	wide[used] = L'\0';
}

/* Cut to `width` cells, with an ellipsis if that took anything away. */
static int
cut(wchar_t *wide, int width)
{
	int cells = 0, next;

	for (size_t i = 0; wide[i] != L'\0'; i++) {
		next = cells + wcwidth(wide[i]);
		if (next > width || (next == width && wide[i + 1] != L'\0')) {
			wide[i] = width > 0 ? L'…' : L'\0';
			wide[i + (width > 0)] = L'\0';
			return width > 0 ? cells + 1 : 0;
		}
		cells = next;
	}
	return cells;
}

/* Put a text into a column; what is off the screen is not drawn. */
static void
put(int y, int x, int width, bool is_right, enum paint paint, const char *text)
{
	wchar_t wide[TEXT_SIZE];
	int cells;

	if (x >= COLS || y >= LINES)
		return;
	if (width > COLS - x)
		width = COLS - x;
	widen(text, wide, TEXT_SIZE);
	cells = cut(wide, width);
	attron(attribute(paint));
	mvaddwstr(y, is_right ? x + width - cells : x, wide);
	attroff(attribute(paint));
}

static void put_format(int y, int x, enum paint paint, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void
put_format(int y, int x, enum paint paint, const char *format, ...)
{
	char text[TEXT_SIZE];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	put(y, x, COLS - x, false, paint, text);
}

/* ---- parts ----------------------------------------------------------------
 */

static int
name_width(void)
{
	int width = COLS;

	for (size_t i = 0; i < COLUMNS; i++)
		width -= columns[i].width + 1;
	if (width < NAME_LEAST)
		return NAME_LEAST;
	return width > NAME_MOST ? NAME_MOST : width;
}

static void
draw_title(const struct top_model *model, const struct top_frame *frame)
{
	struct top_sum sum = top_model_sum(model);
	const char *filter = top_model_filtered_by(model);
	time_t now = time(NULL);
	struct tm tm;
	char clock[16];

	localtime_r(&now, &tm);
	strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
	put_format(0, 0, sum.blocked != 0 ? PAINT_BAD : PAINT_PLAIN,
	    "weirctl top  %s  %zu rings, %zu blocked, %zu gone  by %s%s%s%s%s",
	    clock, sum.lanes, sum.blocked, sum.gone,
	    top_sort_name(top_model_sorted_by(model)),
	    top_model_is_reversed(model) ? " reversed" : "",
	    filter[0] != '\0' ? "  only /" : "", filter,
	    frame->is_paused ? "  PAUSED" : "");
}

static void
draw_heads(void)
{
	int x = name_width() + 1;

	attron(A_REVERSE);
	mvhline(1, 0, ' ', COLS);
	put(1, 0, name_width(), false, PAINT_PLAIN, "LANE");
	for (size_t i = 0; i < COLUMNS; i++) {
		attron(A_REVERSE);
		put(1, x, columns[i].width, columns[i].is_right, PAINT_PLAIN,
		    columns[i].head);
		x += columns[i].width + 1;
	}
	attroff(A_REVERSE);
}

static void
draw_numbers(int y, const struct top_row *row)
{
	char bar[TABLE_BAR_SIZE], sizes[100], used[32], capacity[32], max[32];
	char high[32], in[32], out[32], lag[32];
	const char *cells[COLUMNS] = {
		row->state == RING_BLOCKED ? "BLOCKED"
					   : ring_state_name(row->state),
		table_bar(row->used, row->capacity, bar),
		sizes,
		table_bytes(row->high_water, high),
		table_count(row->in_rate, in),
		table_count(row->out_rate, out),
		row->used == 0 ? "-" : table_duration(row->lag_ns, lag),
	};
	enum paint paint = paint_of(top_state_mark(row->state));
	int x = name_width() + 1;

	snprintf(sizes, sizeof(sizes), "%s/%s/%s", table_bytes(row->used, used),
	    table_bytes(row->capacity, capacity),
	    table_bytes(row->max_capacity, max));
	put(y, 0, name_width(), false, PAINT_PLAIN, row->name);
	for (size_t i = 0; i < COLUMNS; i++) {
		put(y, x, columns[i].width, columns[i].is_right,
		    i < 2 ? paint : PAINT_PLAIN, cells[i]);
		x += columns[i].width + 1;
	}
}

/* The holder is never cut for seconds that are long past. */
static void
draw_history(int y, const struct top_row *row)
{
	int holder =
	    row->held_by[0] == '\0' ? 0 : (int)strlen(row->held_by) + 1;
	int seconds = COLS - 2 - holder;
	const char *mark;

	if (seconds > TOP_HISTORY)
		seconds = TOP_HISTORY;
	if (seconds < 10)
		seconds = COLS - 2 < 10 ? 0 : 10;
	mark = row->history + TOP_HISTORY - seconds;
	for (int i = 0; i < seconds; i++)
		mvaddch(y, 2 + i,
		    (chtype)(unsigned char)mark[i] |
			attribute(paint_of(mark[i])));
	put(y, 3 + seconds, COLS - 3 - seconds, false,
	    row->state == RING_BLOCKED ? PAINT_BAD : PAINT_PLAIN, row->held_by);
}

static void
draw_rows(const struct top_model *model, size_t first)
{
	const size_t count = top_screen_rows();
	const struct top_row *row;
	int y = LINES_ABOVE;

	if (top_model_row(model, 0) == NULL)
		put_format(y, 0, PAINT_PLAIN, "%s",
		    top_model_filtered_by(model)[0] != '\0'
			? "No ring has that in its name, state or holder."
			: "No rings: no weir-broker runs here, or its "
			  "processes may not be looked into.");
	for (size_t i = 0; i < count; i++, y += LINES_A_ROW) {
		row = top_model_row(model, first + i);
		if (row == NULL)
			break;
		draw_numbers(y, row);
		if (y + 1 < LINES - LINES_BELOW)
			draw_history(y + 1, row);
	}
}

static void
draw_help(void)
{
	for (int i = 0; help[i] != NULL; i++)
		put(LINES_ABOVE + i, 0, COLS, false, PAINT_PLAIN, help[i]);
}

static void
draw_foot(const struct top_frame *frame)
{
	const int y = LINES - 1;

	if (frame->typed != NULL)
		put_format(y, 0, PAINT_PLAIN, "/%s_", frame->typed);
	else if (frame->unreadable != 0)
		put_format(y, 0, PAINT_SLOW,
		    "%zu processes could not be looked into: run as root to "
		    "see all.  h help  q quit",
		    frame->unreadable);
	else
		put_format(y, 0, PAINT_FAINT,
		    "q quit  / filter  p pause  n s f u i o l sort  r reverse "
		    " h help");
}

/* ---- the screen -----------------------------------------------------------
 */

static void
choose_colours(void)
{
	if (!has_colors())
		return;
	start_color();
	use_default_colors();
	for (short i = 1; i < PAINTS; i++)
		init_pair(i, paints[i].colour, -1);
}

int
top_screen_open(void)
{
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return -ENOTTY;
	if (newterm(NULL, stdout, stdin) == NULL)
		return -ENODEV;
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	set_escdelay(50);
	curs_set(0);
	choose_colours();
	return 0;
}

void
top_screen_close(void)
{
	endwin();
}

size_t
top_screen_rows(void)
{
	int rows = (LINES - LINES_ABOVE - LINES_BELOW) / LINES_A_ROW;

	return rows < 1 ? 1 : (size_t)rows;
}

void
top_screen_draw(const struct top_model *model, const struct top_frame *frame)
{
	erase();
	draw_title(model, frame);
	if (frame->is_help) {
		draw_help();
	} else {
		draw_heads();
		draw_rows(model, frame->first);
	}
	draw_foot(frame);
	refresh();
}

int
top_screen_key(int timeout_ms)
{
	int key;

	timeout(timeout_ms);
	key = getch();
	switch (key) {
	case ERR:
		return TOP_KEY_NONE;
	case KEY_UP:
		return TOP_KEY_UP;
	case KEY_DOWN:
		return TOP_KEY_DOWN;
	case KEY_PPAGE:
		return TOP_KEY_PAGE_UP;
	case KEY_NPAGE:
		return TOP_KEY_PAGE_DOWN;
	case KEY_BACKSPACE:
	case 127:
	case 8:
		return TOP_KEY_ERASE;
	case KEY_ENTER:
	case '\n':
	case '\r':
		return TOP_KEY_ENTER;
	case 27:
		return TOP_KEY_ESCAPE;
	case KEY_RESIZE:
		return TOP_KEY_RESIZE;
	default:
		return key < 256 ? key : TOP_KEY_OTHER;
	}
}
