/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/proxy_header.h"

#include <string.h>

#include "broker/store/crc32c.h"
#include "common/mqtt/wire.h"

enum command {
	COMMAND_LOCAL = 0x20,
	COMMAND_PROXY = 0x21
};

enum family {
	FAMILY_NONE = 0x00,
	FAMILY_TCP4 = 0x11,
	FAMILY_TCP6 = 0x21,
	FAMILY_UNIX = 0x31
};

/* Bytes of the addresses of both ends. */
#define TCP4_BYTES 12
#define TCP6_BYTES 36
#define UNIX_BYTES 216

enum type {
	TYPE_CRC32C = 0x03,
	TYPE_SSL = 0x20,
	TYPE_SSL_CN = 0x22
};

/* In the first byte of TYPE_SSL. */
enum ssl {
	SSL_IS_ON = 0x01,
	SSL_HAS_CERT = 0x02,   /* shown in this connection */
	SSL_HAD_CERT = 0x04,   /* ... or in this session */
	SSL_HEAD_BYTES = 1 + 4 /* and what verification came to: 0 */
};

#define TLV_HEAD_BYTES 3

static const uint8_t signature[12] = { 0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a,
	0x51, 0x55, 0x49, 0x54, 0x0a };

size_t
proxy_header_size(const uint8_t start[PROXY_HEADER_START], const char **out_why)
{
	if (memcmp(start, "PROXY ", 6) == 0) {
		*out_why = "this is version 1 of the PROXY protocol; have the "
			   "proxy send version 2 (send-proxy-v2)";
		return 0;
	}
	if (memcmp(start, signature, sizeof(signature)) != 0) {
		*out_why = "it does not begin with a header of the PROXY "
			   "protocol; is the client connected past the proxy?";
		return 0;
	}
	if (start[12] != COMMAND_LOCAL && start[12] != COMMAND_PROXY) {
		*out_why = "the PROXY header has another version than 2, or an "
			   "unknown command";
		return 0;
	}
	return PROXY_HEADER_START + (size_t)wire_load_u16(start + 14);
}

/* One type-length-value, cut from the rest. */
struct tlv {
	uint8_t type;
	struct slice value;
};

/* False when what is left is too short for what it says. */
static bool
next_tlv(struct slice *rest, struct tlv *out)
{
	size_t len;

	if (rest->len < TLV_HEAD_BYTES)
		return false;
	len = wire_load_u16(rest->data + 1);
	if (len > rest->len - TLV_HEAD_BYTES)
		return false;
	out->type = rest->data[0];
	out->value = slice_of(rest->data + TLV_HEAD_BYTES, len);
	*rest = slice_of(rest->data + TLV_HEAD_BYTES + len,
	    rest->len - TLV_HEAD_BYTES - len);
	return true;
}

static const char *
read_ssl(struct slice value, struct proxy_header *out)
{
	uint8_t flags;
	struct tlv tlv;
	bool is_proved;

	if (value.len < SSL_HEAD_BYTES)
		return "the PROXY header's TLS part is too short";
	flags = value.data[0];
	is_proved = (flags & SSL_IS_ON) != 0 &&
	    (flags & (SSL_HAS_CERT | SSL_HAD_CERT)) != 0 &&
	    wire_load_u32(value.data + 1) == 0;
	value =
	    slice_of(value.data + SSL_HEAD_BYTES, value.len - SSL_HEAD_BYTES);
	while (value.len != 0) {
		if (!next_tlv(&value, &tlv))
			return "the PROXY header's TLS part ends within an "
			       "entry";
		if (tlv.type == TYPE_SSL_CN && is_proved)
			out->common_name = tlv.value;
	}
	return NULL;
}

static const char *
read_tlvs(
    const uint8_t *bytes, size_t size, size_t at, struct proxy_header *out)
{
	struct slice rest = slice_of(bytes + at, size - at);
	bool has_crc = false;
	const char *why = NULL;
	struct tlv tlv;

	while (rest.len != 0 && why == NULL) {
		if (!next_tlv(&rest, &tlv))
			return "the PROXY header ends within an entry";
		if (tlv.type == TYPE_SSL) {
			why = read_ssl(tlv.value, out);
		} else if (tlv.type == TYPE_CRC32C) {
			if (tlv.value.len != 4 || has_crc)
				return "the PROXY header's checksum has not "
				       "4 bytes, or is there twice";
			has_crc = true;
			if (wire_load_u32(tlv.value.data) !=
			    crc32c_around(
				bytes, size, (size_t)(tlv.value.data - bytes)))
				return "the PROXY header's checksum is wrong";
		}
	}
	return why;
}

/* Where the entries begin; 0: not so many bytes are there. */
static size_t
read_addresses(const uint8_t *bytes, size_t size, struct proxy_header *out)
{
	const uint8_t *at = bytes + PROXY_HEADER_START;
	size_t len = bytes[13] == FAMILY_TCP4 ? TCP4_BYTES
	    : bytes[13] == FAMILY_TCP6        ? TCP6_BYTES
					      : UNIX_BYTES;

	if (size - PROXY_HEADER_START < len)
		return 0;
	if (bytes[13] == FAMILY_TCP4) {
		out->address.v4.sin_family = AF_INET;
		memcpy(&out->address.v4.sin_addr, at, 4);
		memcpy(&out->address.v4.sin_port, at + 8, 2);
	} else if (bytes[13] == FAMILY_TCP6) {
		out->address.v6.sin6_family = AF_INET6;
		memcpy(&out->address.v6.sin6_addr, at, 16);
		memcpy(&out->address.v6.sin6_port, at + 32, 2);
	}
	return PROXY_HEADER_START + len;
}

const char *
proxy_header_read(const uint8_t *bytes, size_t size, struct proxy_header *out)
{
	struct proxy_header header = { 0 };
	const char *why = "the PROXY header has another length than it says";
	size_t at;

	if (size < PROXY_HEADER_START || proxy_header_size(bytes, &why) != size)
		return why;
	if (bytes[12] == COMMAND_PROXY && bytes[13] != FAMILY_NONE) {
		if (bytes[13] != FAMILY_TCP4 && bytes[13] != FAMILY_TCP6 &&
		    bytes[13] != FAMILY_UNIX)
			return "the PROXY header is about another transport "
			       "than TCP and Unix sockets";
		at = read_addresses(bytes, size, &header);
		if (at == 0)
			return "the PROXY header is too short for its "
			       "addresses";
		why = read_tlvs(bytes, size, at, &header);
		if (why != NULL)
			return why;
	}
	*out = header;
	return NULL;
}
