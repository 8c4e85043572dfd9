/* SPDX-License-Identifier: Apache-2.0 */

/* fuzz - what every target has: its one function, and what must hold in it. */

#ifndef WEIR_TESTS_FUZZ_FUZZ_H
#define WEIR_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* libFuzzer takes it for a finding when it does not, and shows the place. */
#define require(condition) ((condition) ? (void)0 : abort())

#endif
