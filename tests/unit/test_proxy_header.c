/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/proxy_header.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "broker/store/crc32c.h"
#include "tests/unit/unit.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define TCP4 "\x0a\0\0\7\xc0\xa8\1\1\x30\x39\7\x5b"
#define TCP6                                                                   \
	"\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\7"                                   \
	"\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\x30\x39\7\x5b"

static uint8_t bytes[PROXY_HEADER_MAX];
static size_t size;
static struct proxy_header header;

/* A header of this command and family, in memory of its exact size. */
static void
build(uint8_t command, uint8_t family, const void *rest, size_t len)
{
	memcpy(bytes, SIGNATURE, 12);
	bytes[12] = command;
	bytes[13] = family;
	bytes[14] = (uint8_t)(len >> 8);
	bytes[15] = (uint8_t)len;
	memcpy(bytes + 16, rest, len);
	size = 16 + len;
}

static const char *
parse(void)
{
	uint8_t *exact = malloc(size);
	const char *why;

	/* One byte beyond is found by the sanitizer. */
	memcpy(exact, bytes, size);
	memset(&header, 0x55, sizeof(header));
	why = proxy_header_read(exact, size, &header);
	if (why == NULL && header.common_name.len != 0)
		header.common_name =
		    slice_of(bytes + (header.common_name.data - exact),
			header.common_name.len);
	free(exact);
	return why;
}

#define READ(command, family, rest)                                            \
	(build(command, family, rest, sizeof(rest) - 1), parse())

static void
is_v4(const char *address, uint16_t port)
{
	char text[INET6_ADDRSTRLEN];

	ck_assert_int_eq(header.address.any.sa_family, AF_INET);
	inet_ntop(AF_INET, &header.address.v4.sin_addr, text, sizeof(text));
	ck_assert_str_eq(text, address);
	ck_assert_uint_eq(ntohs(header.address.v4.sin_port), port);
}

START_TEST(tells_the_client_s_address)
{
	char text[INET6_ADDRSTRLEN];

	ck_assert_ptr_null(READ(0x21, 0x11, TCP4));
	is_v4("10.0.0.7", 12345);
	ck_assert_ptr_null(READ(0x21, 0x21, TCP6));
	ck_assert_int_eq(header.address.any.sa_family, AF_INET6);
	inet_ntop(AF_INET6, &header.address.v6.sin6_addr, text, sizeof(text));
	ck_assert_str_eq(text, "fd00::7");
	ck_assert_uint_eq(ntohs(header.address.v6.sin6_port), 12345);
	ck_assert_uint_eq(header.common_name.len, 0);
}
END_TEST

START_TEST(what_is_no_address_leaves_that_of_the_socket)
{
	static const char paths[217];

	ck_assert_ptr_null(READ(0x21, 0x31, paths));
	ck_assert_int_eq(header.address.any.sa_family, AF_UNSPEC);
	/* What a proxy says for itself, whatever follows. */
	ck_assert_ptr_null(READ(0x20, 0x00, ""));
	ck_assert_int_eq(header.address.any.sa_family, AF_UNSPEC);
	ck_assert_ptr_null(READ(0x20, 0x11, TCP4));
	ck_assert_int_eq(header.address.any.sa_family, AF_UNSPEC);
	ck_assert_ptr_null(READ(0x20, 0x99, "junk"));
	ck_assert_ptr_null(READ(0x21, 0x00, "junk"));
	ck_assert_int_eq(header.address.any.sa_family, AF_UNSPEC);
}
END_TEST

/* 0x20, length, flags, what verification came to, entries. */
#define SSL(len, flags, verify, rest) "\x20\0" len flags verify rest
#define CN "\x22\0\x08sensor-7"

START_TEST(tells_a_common_name_that_was_verified)
{
	ck_assert_ptr_null(
	    READ(0x21, 0x11, TCP4 SSL("\x10", "\3", "\0\0\0\0", CN) "\4\0\0"));
	ck_assert(slice_equal_string(header.common_name, "sensor-7"));
	/* Of the session, and behind another entry. */
	ck_assert_ptr_null(READ(0x21, 0x11,
	    TCP4 "\1\0\4mqtt" SSL("\x13", "\5", "\0\0\0\0", "\x21\0\0" CN)));
	ck_assert(slice_equal_string(header.common_name, "sensor-7"));
	is_v4("10.0.0.7", 12345);
}
END_TEST

START_TEST(tells_none_that_was_not)
{
	/* Verification failed; no certificate; no TLS; none at all. */
	ck_assert_ptr_null(
	    READ(0x21, 0x11, TCP4 SSL("\x10", "\3", "\0\0\0\1", CN)));
	ck_assert_uint_eq(header.common_name.len, 0);
	ck_assert_ptr_null(
	    READ(0x21, 0x11, TCP4 SSL("\x10", "\1", "\0\0\0\0", CN)));
	ck_assert_uint_eq(header.common_name.len, 0);
	ck_assert_ptr_null(
	    READ(0x21, 0x11, TCP4 SSL("\x10", "\2", "\0\0\0\0", CN)));
	ck_assert_uint_eq(header.common_name.len, 0);
	ck_assert_ptr_null(
	    READ(0x21, 0x11, TCP4 SSL("\5", "\3", "\0\0\0\0", "")));
	ck_assert_uint_eq(header.common_name.len, 0);
	/* Outside of the TLS part it is nothing. */
	ck_assert_ptr_null(READ(0x21, 0x11, TCP4 CN));
	ck_assert_uint_eq(header.common_name.len, 0);
}
END_TEST

static void
sign(size_t at)
{
	uint32_t crc = crc32c_around(bytes, size, at);

	for (unsigned i = 0; i < 4; i++)
		bytes[at + i] = (uint8_t)(crc >> (24 - 8 * i));
}

START_TEST(proves_a_checksum)
{
	READ(0x21, 0x11, TCP4 "\3\0\4\0\0\0\0\4\0\1x");
	sign(16 + 12 + 3);
	ck_assert_ptr_null(parse());
	is_v4("10.0.0.7", 12345);
	for (size_t i = 16; i < size; i++) {
		/* Of another type it is no checksum. */
		if (i == 16 + 12)
			continue;
		bytes[i] ^= 1;
		ck_assert_ptr_nonnull(parse());
		bytes[i] ^= 1;
	}
	ck_assert_ptr_nonnull(
	    strstr(READ(0x21, 0x11, TCP4 "\3\0\4\0\0\0\0"), "checksum"));
	ck_assert_ptr_nonnull(
	    strstr(READ(0x21, 0x11, TCP4 "\3\0\3\0\0\0"), "4 bytes"));
}
END_TEST

START_TEST(one_checksum_is_enough)
{
	READ(0x21, 0x11, TCP4 "\3\0\4\0\0\0\0\3\0\4\0\0\0\0");
	sign(16 + 12 + 3);
	ck_assert_ptr_nonnull(strstr(parse(), "twice"));
}
END_TEST

/* 1 or 2 bytes behind the last entry are no entry. */
START_TEST(refuses_bytes_that_are_left_over)
{
	ck_assert_ptr_nonnull(strstr(READ(0x21, 0x11, TCP4 "\4"), "within"));
	ck_assert_ptr_nonnull(strstr(READ(0x21, 0x11, TCP4 "\4\0"), "within"));
	ck_assert_ptr_null(READ(0x21, 0x11, TCP4 "\4\0\0"));
	ck_assert_ptr_nonnull(
	    strstr(READ(0x21, 0x11, TCP4 "\4\0\1"), "within"));
	ck_assert_ptr_nonnull(
	    strstr(READ(0x21, 0x11, TCP4 "\4\xff\xffx"), "within"));
	ck_assert_ptr_nonnull(strstr(
	    READ(0x21, 0x11, TCP4 SSL("\4", "\3", "\0\0\0", "")), "too short"));
	ck_assert_ptr_nonnull(
	    strstr(READ(0x21, 0x11, TCP4 SSL("\7", "\3", "\0\0\0\0", "\x22\0")),
		"TLS part ends"));
	ck_assert_ptr_nonnull(strstr(
	    READ(0x21, 0x11, TCP4 SSL("\x8", "\3", "\0\0\0\0", "\x22\0\1")),
	    "TLS part ends"));
}
END_TEST

START_TEST(refuses_addresses_that_are_cut)
{
	static const char paths[216];

	build(0x21, 0x11, TCP4, 11);
	ck_assert_ptr_nonnull(strstr(parse(), "too short"));
	build(0x21, 0x21, TCP6, 35);
	ck_assert_ptr_nonnull(strstr(parse(), "too short"));
	build(0x21, 0x31, paths, 215);
	ck_assert_ptr_nonnull(strstr(parse(), "too short"));
	build(0x21, 0x11, "", 0);
	ck_assert_ptr_nonnull(strstr(parse(), "too short"));
	/* Datagrams, and families that there are not. */
	ck_assert_ptr_nonnull(strstr(READ(0x21, 0x12, TCP4), "transport"));
	ck_assert_ptr_nonnull(strstr(READ(0x21, 0x41, TCP4), "transport"));
	ck_assert_ptr_nonnull(strstr(READ(0x21, 0x10, TCP4), "transport"));
}
END_TEST

START_TEST(says_what_is_there_instead)
{
	const char *why = NULL;

	ck_assert_uint_eq(
	    proxy_header_size((const uint8_t *)"PROXY TCP4 10.0.", &why), 0);
	ck_assert_ptr_nonnull(strstr(why, "send-proxy-v2"));
	ck_assert_uint_eq(
	    proxy_header_size(
		(const uint8_t *)"\x10\x20\0\4MQTT\4\2\0\0\0\1aa", &why),
	    0);
	ck_assert_ptr_nonnull(strstr(why, "past the proxy"));
	build(0x21, 0x11, TCP4, 12);
	ck_assert_uint_eq(proxy_header_size(bytes, &why), 28);
	for (unsigned i = 0; i < 12; i++) {
		bytes[i] ^= 0x80;
		ck_assert_uint_eq(proxy_header_size(bytes, &why), 0);
		bytes[i] ^= 0x80;
	}
	for (unsigned i = 0; i < 256; i++) {
		bytes[12] = (uint8_t)i;
		ck_assert_uint_eq(proxy_header_size(bytes, &why),
		    i == 0x20 || i == 0x21 ? 28 : 0);
	}
	bytes[12] = 0x21;
	bytes[14] = bytes[15] = 0xff;
	ck_assert_uint_eq(proxy_header_size(bytes, &why), PROXY_HEADER_MAX);
}
END_TEST

START_TEST(wants_all_of_it_and_no_more)
{
	build(0x21, 0x11, TCP4, 12);
	size = 27;
	ck_assert_ptr_nonnull(parse());
	size = 29;
	ck_assert_ptr_nonnull(parse());
	size = 15;
	ck_assert_ptr_nonnull(parse());
	size = 28;
	ck_assert_ptr_null(parse());
	/* Also of what is not looked at. */
	build(0x20, 0, "rest", 4);
	ck_assert_ptr_null(parse());
	size++;
	ck_assert_ptr_nonnull(strstr(parse(), "another length"));
	size -= 2;
	ck_assert_ptr_nonnull(strstr(parse(), "another length"));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("proxy_header");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, tells_the_client_s_address);
	tcase_add_test(tc, what_is_no_address_leaves_that_of_the_socket);
	tcase_add_test(tc, tells_a_common_name_that_was_verified);
	tcase_add_test(tc, tells_none_that_was_not);
	tcase_add_test(tc, proves_a_checksum);
	tcase_add_test(tc, one_checksum_is_enough);
	tcase_add_test(tc, refuses_bytes_that_are_left_over);
	tcase_add_test(tc, refuses_addresses_that_are_cut);
	tcase_add_test(tc, says_what_is_there_instead);
	tcase_add_test(tc, wants_all_of_it_and_no_more);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
