/* SPDX-License-Identifier: Apache-2.0 */

/*
 * store_script - a run of a store in which everything happens once at least.
 *
 * Messages of all sizes to several cursors, done in any order, floors, a
 * cursor that ends and one that begins, state, checkpoints with commits in
 * their midst, segments that are filled, merged and used again.  The same
 * steps in the same order each time, so that the n-th call to the disk is
 * always the same one.
 */

#ifndef WEIR_TESTS_UNIT_STORE_SCRIPT_H
#define WEIR_TESTS_UNIT_STORE_SCRIPT_H

#include "tests/unit/store_twin.h"

/* What a twin for it is made with. */
#define SCRIPT_SEGMENT_BYTES (UINT64_C(64) << 10)
#define SCRIPT_MAX_BYTES (UINT64_C(2) << 20)

/*
 * With the store open; what fails is passed over.  Ends early when the power
 * is off.
 */
void script_run(struct twin *twin);

/*
 * What a broker does when the disk is well again: within a few tries it
 * writes, and what it then writes is kept.  Ends the test if not.
 */
void script_goes_on(struct twin *twin);

#endif
