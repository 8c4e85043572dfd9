/* SPDX-License-Identifier: Apache-2.0 */

#include "ctl/ask.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/ring/ring_control.h"

#define TIMEOUT_MS 2000
#define MANAGE_TIMEOUT_MS 15000

static json_t *
ask_within(
    const char *run_dir, const char *question, int timeout_ms, int *out_err)
{
	json_error_t error;
	json_t *answer;
	char *text;

	*out_err = ring_control_ask(run_dir, question, timeout_ms, &text);
	if (*out_err != 0)
		return NULL;
	answer = json_loads(text, 0, &error);
	free(text);
	if (answer == NULL)
		*out_err = -EBADMSG;
	return answer;
}

json_t *
ask_broker(const char *run_dir, const char *question, int *out_err)
{
	return ask_within(run_dir, question, TIMEOUT_MS, out_err);
}

json_t *
ask_broker_json(const char *run_dir, json_t *question, int *out_err)
{
	char *text =
	    question == NULL ? NULL : json_dumps(question, JSON_COMPACT);
	json_t *answer;

	json_decref(question);
	*out_err = -ENOMEM;
	if (text == NULL)
		return NULL;
	answer = ask_within(run_dir, text, MANAGE_TIMEOUT_MS, out_err);
	free(text);
	return answer;
}

const char *
ask_why_not(int err)
{
	switch (err) {
	case -ENOENT:
	case -ECONNREFUSED:
		return "no broker runs here";
	case -ETIMEDOUT:
		return "the broker does not answer: it is stopped or hangs";
	case -EACCES:
	case -EPERM:
		return "not allowed: run as root or as the broker's user";
	case -EBADMSG:
		return "the answer makes no sense: another version?";
	default:
		return strerror(-err);
	}
}
