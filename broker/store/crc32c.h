/* SPDX-License-Identifier: Apache-2.0 */

/*
 * crc32c - the checksum of what lies on the disk (Castagnoli, RFC 3720).
 *
 *	crc = crc32c(0, header, sizeof(header));
 *	crc = crc32c(crc, body, length);
 *
 * The processor's instruction is used where it has one.  Any thread.
 */

#ifndef WEIR_BROKER_STORE_CRC32C_H
#define WEIR_BROKER_STORE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Goes on from `crc`, which is 0 at the beginning. */
uint32_t crc32c(uint32_t crc, const void *bytes, size_t length);

/* Of all, with four zeros for the bytes from `at` on: where itself is kept. */
uint32_t crc32c_around(const void *bytes, size_t length, size_t at);

/* As crc32c(), never with the instruction. */
uint32_t crc32c_table(uint32_t crc, const void *bytes, size_t length);

#endif
