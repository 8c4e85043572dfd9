/* SPDX-License-Identifier: Apache-2.0 */

/*
 * top_screen - the terminal of `weirctl top` (ncurses).
 *
 * Draws a model (top_model.h) and reads keys; knows nothing of rings beyond
 * that.  It does without colours, and follows the terminal's size.  There is
 * one terminal, so there is one screen; from open to close nothing else may
 * be written to it.
 */

#ifndef WEIR_CTL_TOP_SCREEN_H
#define WEIR_CTL_TOP_SCREEN_H

#include <stdbool.h>
#include <stddef.h>

#include "ctl/top_model.h"

/* What top_screen_key() returns beside characters. */
enum top_key {
	TOP_KEY_NONE = -1, /* the time is up */
	TOP_KEY_UP = 1000,
	TOP_KEY_DOWN,
	TOP_KEY_PAGE_UP,
	TOP_KEY_PAGE_DOWN,
	TOP_KEY_ERASE,
	TOP_KEY_ENTER,
	TOP_KEY_ESCAPE,
	TOP_KEY_RESIZE,
	TOP_KEY_OTHER
};

/* What is to be seen, beside the model. */
struct top_frame {
	size_t first; /* row at the top */
	bool is_paused;
	bool is_help;
	const char *typed; /* a filter while it is typed; NULL: none is */
	size_t unreadable; /* processes that could not be looked into */
};

/* Returns 0; -ENOTTY without a terminal, -ENODEV for one that is unknown. */
int top_screen_open(void);
void top_screen_close(void);

void top_screen_draw(
    const struct top_model *model, const struct top_frame *frame);

/* Rows that fit, at least 1. */
size_t top_screen_rows(void);

/* Wait for a key so long at most. */
int top_screen_key(int timeout_ms);

#endif
