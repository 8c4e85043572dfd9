/* SPDX-License-Identifier: Apache-2.0 */

/*
 * conf-manual - print the keys of the configuration as mdoc items; the build
 * puts them into weir.conf(5).  Not installed.
 */

#include <stdio.h>

#include "common/base/exit.h"
#include "common/conf/conf.h"

int
main(void)
{
	conf_print_manual(stdout);
	return fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED;
}
