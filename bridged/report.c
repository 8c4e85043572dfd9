/* SPDX-License-Identifier: Apache-2.0 */

#include "bridged/report.h"

#include <stdio.h>
#include <string.h>

void
report_init(struct report *report, const struct conf_bridge *conf)
{
	*report = (struct report){
		.state = "starting",
		.is_news = true,
	};
	report_remote(report, conf->remotes);
}

void
report_remote(struct report *report, const struct conf_remote *remote)
{
	snprintf(report->remote, sizeof(report->remote),
	    strchr(remote->host, ':') == NULL ? "%s:%u" : "[%s]:%u",
	    remote->host, (unsigned)remote->port);
	report->is_news = true;
}

void
report_state(struct report *report, const char *state, uint64_t now_ns)
{
	report->state = state;
	report->since_ns = now_ns;
	report->retry_ns = 0;
	report->is_news = true;
}

void
report_retry(struct report *report, uint64_t at_ns)
{
	report->retry_ns = at_ns;
	report->is_news = true;
}

void
report_error(struct report *report, const char *why, uint64_t now_ns)
{
	snprintf(report->why, sizeof(report->why), "%s", why);
	/* It is a line of its own. */
	for (char *c = report->why; *c != '\0'; c++)
		if ((unsigned char)*c < ' ')
			*c = '?';
	report->error_ns = now_ns;
	report->is_news = true;
}

void
report_flow(
    struct report *report, bool is_full, uint64_t later_ns, uint64_t rate_ns)
{
	if (report->is_full == is_full && report->later_ns == later_ns &&
	    report->rate_ns == rate_ns)
		return;
	report->is_full = is_full;
	report->later_ns = later_ns;
	report->rate_ns = rate_ns;
	report->is_news = true;
}

void
report_up(struct report *report, bool is_up, uint64_t now_ns)
{
	if (is_up == (report->down_ns == 0))
		return;
	report->down_ns = is_up ? 0 : now_ns;
	report->is_news = true;
}

static void
add_time(struct board_text *text, const char *key, uint64_t at_ns)
{
	if (at_ns != 0)
		board_text_line(
		    text, "%s %llu", key, (unsigned long long)at_ns);
}

void
report_post(struct report *report, struct board *board)
{
	struct board_text text;

	if (board == NULL || (!report->is_news && report->board == board))
		return;
	report->is_news = false;
	report->board = board;

	board_text_init(&text);
	board_text_line(&text, "remote %s", report->remote);
	board_text_line(&text, "state %s", report->state);
	add_time(&text, "since", report->since_ns);
	add_time(&text, "down", report->down_ns);
	add_time(&text, "retry", report->retry_ns);
	if (report->is_full)
		board_text_line(&text, "full 1");
	add_time(&text, "later", report->later_ns);
	add_time(&text, "rate", report->rate_ns);
	if (report->error_ns != 0)
		board_text_line(&text, "error %llu %s",
		    (unsigned long long)report->error_ns, report->why);
	board_text_post(&text, board);
}
