/* SPDX-License-Identifier: Apache-2.0 */

/*
 * bridge_test - `weirctl bridge test NAME`: runs weir-bridged --probe and
 * shows what it says, step by step as it comes, or as JSON.
 */

#ifndef WEIR_CTL_BRIDGE_TEST_H
#define WEIR_CTL_BRIDGE_TEST_H

#include <stdbool.h>

#include "ctl/ctl.h"

/* The operand "test" comes first: then the verb is ours. */
bool bridge_test_is_meant(int argc, char **argv);

/* Returns EXIT_OK when all steps went well, EXIT_FAILED when one did not. */
int bridge_test_run(const struct ctl *ctl, int argc, char **argv);

#endif
