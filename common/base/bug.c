/* SPDX-License-Identifier: Apache-2.0 */

#include "common/base/bug.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void
bug_abort(const char *condition, const char *file, int line)
{
	char text[512];
	ssize_t written;
	int len;

	/* Straight to the descriptor: the heap or stdio may be what broke. */
	len = snprintf(text, sizeof(text),
	    "<2>event=bug condition=\"%s\" at=%s:%d\n", condition, file, line);
	if (len > (int)sizeof(text) - 1)
		len = (int)sizeof(text) - 1;
	written = write(STDERR_FILENO, text, (size_t)len);
	(void)written;
	abort();
}
