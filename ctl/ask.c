/* SPDX-License-Identifier: Apache-2.0 */

#include "ctl/ask.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/ring/ring_control.h"

#define TIMEOUT_MS 2000

json_t *
ask_broker(const char *run_dir, const char *question, int *out_err)
{
	json_error_t error;
	json_t *answer;
	char *text;

	*out_err = ring_control_ask(run_dir, question, TIMEOUT_MS, &text);
	if (*out_err != 0)
		return NULL;
	answer = json_loads(text, 0, &error);
	free(text);
	if (answer == NULL)
		*out_err = -EBADMSG;
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
