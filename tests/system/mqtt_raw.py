# SPDX-License-Identifier: Apache-2.0

"""mqtt_raw - MQTT 3.1, 3.1.1 and 5.0, packet by packet, for either side.

Three layers, each usable alone:

1. Builders return the bytes of one packet: connect(), publish(), ack(),
   subscribe(), unsubscribe(), pingreq(), disconnect(), auth(), and of a
   server's side connack(), suback(), unsuback(), pingresp().  They check
   nothing: any argument may be wrong on purpose (a topic or a string may be
   bytes that are no UTF-8, QoS may be 3).  raw(first_byte, body) makes any
   packet, and header(first_byte, length) one whose length lies.
   `version` is 3, 4 or 5, as on the wire; 5 where nothing is said.

2. properties(given) encodes MQTT 5.0 properties: a dict of names (as the
   specification has them, in snake_case: PROPERTIES) to values; a list as
   value repeats the property (user_property wants pairs); bytes are taken as
   they are, behind their length; None is length 0.  A builder's `props` is
   this argument.

3. parse(first_byte, body, version) -> Packet is strict: what the standard
   forbids in a packet (reserved flags, bytes left over, a property where it
   may not be or twice, ill-formed UTF-8, a length that is not minimal, an
   unknown reason code for that packet) raises Malformed, an AssertionError.
   So each test that reads a packet checks its form too.

Client is a connection with nothing automatic:

	c = Client(port, "sensor-7", version=5, props={"receive_maximum": 2})
	c.connack.reason, c.connack.props["topic_alias_maximum"]
	c.send(subscribe(1, ("a/#", 1)))
	c.expect(SUBACK, id=1, reasons=[1])
	c.send(publish("a/b", b"hello", qos=1, id=7))
	c.expect(PUBACK, id=7, reason=0)
	c.expect(PUBLISH, topic="a/b", payload=b"hello", qos=1, dup=False)
	c.send(raw(0x61, b""))
	c.closed(0x81)         # DISCONNECT 0x81 and the end, nothing else

expect() compares the named fields of the next packet and returns it; it
raises AssertionError with all that came when another packet, the end, or
nothing comes.  closed(reason) wants the end: with MQTT 5.0 first a DISCONNECT
(or, before CONNACK, a CONNACK) of this reason; None means without a word.
nothing() shows by PINGREQ that nothing else was sent before; messages of
another client are not bound to come before the PINGRESP, so silence about
them is shown by a later message: expect_marker().
No method sleeps; every wait ends with the packet or fails by timeout.
"""

import socket
import struct
import time

import weir
from weir import (
    AUTH,
    CONNACK,
    CONNECT,
    DISCONNECT,
    PINGREQ,
    PINGRESP,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    SUBACK,
    SUBSCRIBE,
    UNSUBACK,
    UNSUBSCRIBE,
)

NAMES = (
    "reserved CONNECT CONNACK PUBLISH PUBACK PUBREC PUBREL PUBCOMP SUBSCRIBE "
    "SUBACK UNSUBSCRIBE UNSUBACK PINGREQ PINGRESP DISCONNECT AUTH"
).split()

WILL = 16  # the Will Properties, as if they were a packet type

_ACKS = (PUBACK, PUBREC, PUBREL, PUBCOMP)
_ANSWERS = (CONNACK,) + _ACKS + (SUBACK, UNSUBACK, DISCONNECT, AUTH)

# name: (identifier, how it is encoded, the packets that may have it)
PROPERTIES = {
    "payload_format_indicator": (0x01, "byte", (PUBLISH, WILL)),
    "message_expiry_interval": (0x02, "u32", (PUBLISH, WILL)),
    "content_type": (0x03, "string", (PUBLISH, WILL)),
    "response_topic": (0x08, "string", (PUBLISH, WILL)),
    "correlation_data": (0x09, "binary", (PUBLISH, WILL)),
    "subscription_identifier": (0x0B, "varint", (PUBLISH, SUBSCRIBE)),
    "session_expiry_interval": (0x11, "u32", (CONNECT, CONNACK, DISCONNECT)),
    "assigned_client_identifier": (0x12, "string", (CONNACK,)),
    "server_keep_alive": (0x13, "u16", (CONNACK,)),
    "authentication_method": (0x15, "string", (CONNECT, CONNACK, AUTH)),
    "authentication_data": (0x16, "binary", (CONNECT, CONNACK, AUTH)),
    "request_problem_information": (0x17, "byte", (CONNECT,)),
    "will_delay_interval": (0x18, "u32", (WILL,)),
    "request_response_information": (0x19, "byte", (CONNECT,)),
    "response_information": (0x1A, "string", (CONNACK,)),
    "server_reference": (0x1C, "string", (CONNACK, DISCONNECT)),
    "reason_string": (0x1F, "string", _ANSWERS),
    "receive_maximum": (0x21, "u16", (CONNECT, CONNACK)),
    "topic_alias_maximum": (0x22, "u16", (CONNECT, CONNACK)),
    "topic_alias": (0x23, "u16", (PUBLISH,)),
    "maximum_qos": (0x24, "byte", (CONNACK,)),
    "retain_available": (0x25, "byte", (CONNACK,)),
    "user_property": (
        0x26,
        "pair",
        (CONNECT, PUBLISH, WILL, SUBSCRIBE, UNSUBSCRIBE) + _ANSWERS,
    ),
    "maximum_packet_size": (0x27, "u32", (CONNECT, CONNACK)),
    "wildcard_subscription_available": (0x28, "byte", (CONNACK,)),
    "subscription_identifier_available": (0x29, "byte", (CONNACK,)),
    "shared_subscription_available": (0x2A, "byte", (CONNACK,)),
}
_BY_ID = {row[0]: (name,) + row[1:] for name, row in PROPERTIES.items()}


def _codes(text):
    return frozenset(int(word, 16) for word in text.split())


_PUB = _codes("00 10 80 83 87 90 91 97 99")
REASONS = {
    CONNACK: _codes(
        "00 80 81 82 83 84 85 86 87 88 89 8a 8c 90 95 97 99 9a 9b 9c 9d 9f"
    ),
    PUBACK: _PUB,
    PUBREC: _PUB,
    PUBREL: _codes("00 92"),
    PUBCOMP: _codes("00 92"),
    SUBACK: _codes("00 01 02 80 83 87 8f 91 97 9e a1 a2"),
    UNSUBACK: _codes("00 11 80 83 87 8f 91"),
    DISCONNECT: _codes(
        "00 04 80 81 82 83 87 89 8b 8d 8e 8f 90 93 94 95 96 97 98 99 9a 9b 9c"
        " 9d 9e 9f a0 a1 a2"
    ),
    AUTH: _codes("00 18 19"),
}

# The types whose reserved flags are 2; of all others but PUBLISH they are 0.
_FLAGS_2 = (PUBREL, SUBSCRIBE, UNSUBSCRIBE)


class Malformed(AssertionError):
    """A packet was received that the standard forbids."""


# ------------------------------------------------------------- building


def string(text):
    """Length and bytes; text may be bytes that are no UTF-8."""
    return weir.mqtt_string(text)


def varint(value, size=0):
    """A Variable Byte Integer; `size` pads it to more bytes than it needs."""
    out = bytearray(weir.mqtt_length(value))
    while len(out) < size:
        out[-1] |= 0x80
        out.append(0)
    return bytes(out)


def header(first_byte, length):
    """A fixed header, whatever follows it."""
    return bytes([first_byte]) + varint(length)


def raw(first_byte, body=b""):
    return header(first_byte, len(body)) + body


def one_property(name, value):
    """Identifier and value of one property."""
    number, kind, _ = PROPERTIES[name]
    head = varint(number)
    if kind == "byte":
        return head + bytes([value])
    if kind == "u16":
        return head + struct.pack(">H", value)
    if kind == "u32":
        return head + struct.pack(">I", value)
    if kind == "varint":
        return head + varint(value)
    if kind == "pair":
        return head + string(value[0]) + string(value[1])
    return head + string(value)


def properties(given=None):
    """Property Length and properties; see the head of this file."""
    if isinstance(given, bytes):
        return varint(len(given)) + given
    out = b""
    for name, value in (given or {}).items():
        for item in value if isinstance(value, list) else [value]:
            out += one_property(name, item)
    return varint(len(out)) + out


def _props(given, version):
    return properties(given) if version == 5 else b""


class Will:
    """What connect() takes as `will`."""

    def __init__(self, topic, payload=b"", qos=0, retain=False, props=None):
        self.topic = topic
        self.payload = payload
        self.qos = qos
        self.retain = retain
        self.props = props


def connect(
    client_id="",
    version=5,
    clean=True,
    keep_alive=60,
    will=None,
    username=None,
    password=None,
    props=None,
    name=None,
    flags=None,
):
    """CONNECT; `name` and `flags` replace what follows from the others."""
    bits = 2 if clean else 0
    tail = string(client_id)
    if will is not None:
        bits |= 4 | will.qos << 3 | (0x20 if will.retain else 0)
        tail += _props(will.props, version)
        tail += string(will.topic) + string(will.payload)
    if username is not None:
        bits |= 0x80
        tail += string(username)
    if password is not None:
        bits |= 0x40
        tail += string(password)
    if name is None:
        name = "MQIsdp" if version & 0x7F == 3 else "MQTT"
    body = string(name) + bytes([version, bits if flags is None else flags])
    body += struct.pack(">H", keep_alive) + _props(props, version)
    return raw(CONNECT << 4, body + tail)


def connack(reason=0, session_present=False, props=None, version=5):
    body = bytes([1 if session_present else 0, reason])
    return raw(CONNACK << 4, body + _props(props, version))


def publish(
    topic,
    payload=b"",
    qos=0,
    id=None,
    retain=False,
    dup=False,
    props=None,
    version=5,
):
    """PUBLISH; an id is written if one is given or QoS is not 0."""
    body = string(topic)
    if qos or id is not None:
        body += struct.pack(">H", id or 0)
    body += _props(props, version)
    body += payload if isinstance(payload, bytes) else payload.encode()
    flags = (8 if dup else 0) | qos << 1 | (1 if retain else 0)
    return raw(PUBLISH << 4 | flags, body)


def ack(kind, id, reason=None, props=None):
    """PUBACK, PUBREC, PUBREL or PUBCOMP; without a reason, the id alone."""
    body = struct.pack(">H", id)
    if reason is not None:
        body += bytes([reason])
    if props is not None:
        body += properties(props)
    return raw(kind << 4 | (2 if kind == PUBREL else 0), body)


def puback(id, reason=None, props=None):
    return ack(PUBACK, id, reason, props)


def pubrec(id, reason=None, props=None):
    return ack(PUBREC, id, reason, props)


def pubrel(id, reason=None, props=None):
    return ack(PUBREL, id, reason, props)


def pubcomp(id, reason=None, props=None):
    return ack(PUBCOMP, id, reason, props)


def options(qos=0, no_local=False, as_published=False, handling=0):
    """The Subscription Options of MQTT 5.0 as a byte."""
    return qos | no_local << 2 | as_published << 3 | handling << 4


def subscribe(id, *filters, props=None, version=5):
    """SUBSCRIBE; each filter is (topic filter, options byte)."""
    body = struct.pack(">H", id) + _props(props, version)
    for topic_filter, byte in filters:
        body += string(topic_filter) + bytes([byte])
    return raw(SUBSCRIBE << 4 | 2, body)


def suback(id, *reasons, props=None, version=5):
    body = struct.pack(">H", id) + _props(props, version) + bytes(reasons)
    return raw(SUBACK << 4, body)


def unsubscribe(id, *filters, props=None, version=5):
    body = struct.pack(">H", id) + _props(props, version)
    for topic_filter in filters:
        body += string(topic_filter)
    return raw(UNSUBSCRIBE << 4 | 2, body)


def unsuback(id, *reasons, props=None, version=5):
    """UNSUBACK; the reasons are written with MQTT 5.0 alone."""
    body = struct.pack(">H", id) + _props(props, version)
    return raw(UNSUBACK << 4, body + (bytes(reasons) if version == 5 else b""))


def pingreq():
    return raw(PINGREQ << 4)


def pingresp():
    return raw(PINGRESP << 4)


def disconnect(reason=None, props=None):
    """DISCONNECT; without a reason, of two bytes, as in every version."""
    body = b"" if reason is None else bytes([reason])
    if props is not None:
        body += properties(props)
    return raw(DISCONNECT << 4, body)


def auth(reason=None, props=None):
    body = b"" if reason is None else bytes([reason])
    if props is not None:
        body += properties(props)
    return raw(AUTH << 4, body)


# -------------------------------------------------------------- parsing


class Packet:
    """A packet as received: kind, flags, body, and by kind:

    CONNECT: version, name, clean, keep_alive, client_id, will, username,
        password, props
    CONNACK: session_present, reason, props
    PUBLISH: dup, qos, retain, topic, id (0 with QoS 0), props, payload
    PUBACK, PUBREC, PUBREL, PUBCOMP: id, reason (0 if it was left out), props
    SUBSCRIBE: id, props, filters [(filter, options)]; UNSUBSCRIBE: filters [..]
    SUBACK, UNSUBACK: id, props, reasons [..]
    DISCONNECT, AUTH: reason (0 if it was left out), props

    props is a dict by name; user_property and subscription_identifier (in
    PUBLISH) are lists.
    """

    def __init__(self, first_byte, body):
        self.kind = first_byte >> 4
        self.flags = first_byte & 15
        self.body = body
        self.props = {}

    def __repr__(self):
        hidden = ("kind", "flags", "body")
        rest = {k: v for k, v in vars(self).items() if k not in hidden and v != {}}
        return "%s(%s)" % (
            NAMES[self.kind],
            ", ".join("%s=%.100r" % item for item in rest.items()),
        )


class Cursor:
    """Reads a body front to back; what is not there raises Malformed."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, size):
        if self.at + size > len(self.data):
            raise Malformed("the packet is cut: %r" % self.data)
        self.at += size
        return self.data[self.at - size : self.at]

    def byte(self):
        return self.take(1)[0]

    def u16(self):
        return struct.unpack(">H", self.take(2))[0]

    def u32(self):
        return struct.unpack(">I", self.take(4))[0]

    def binary(self):
        return self.take(self.u16())

    def string(self):
        data = self.binary()
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            raise Malformed("ill-formed UTF-8: %r" % data) from error
        if "\0" in text:
            raise Malformed("U+0000 in %r" % text)
        return text

    def varint(self):
        value = 0
        for shift in (0, 7, 14, 21):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if not byte & 0x80:
                if byte == 0 and shift:
                    raise Malformed("a length of more bytes than it needs")
                return value
        raise Malformed("a length of more than four bytes")

    def is_at_end(self):
        return self.at == len(self.data)

    def rest(self):
        return self.take(len(self.data) - self.at)

    def value(self, kind):
        if kind == "pair":
            return (self.string(), self.string())
        return getattr(self, kind)()

    def properties(self, packet_kind):
        """The properties of a packet, by name; each where it may be."""
        inner = Cursor(self.take(self.varint()))
        found = {}
        while not inner.is_at_end():
            number = inner.varint()
            if number not in _BY_ID:
                raise Malformed("property %#x is none" % number)
            name, kind, packets = _BY_ID[number]
            if packet_kind not in packets:
                raise Malformed("%s in %s" % (name, (NAMES + ["Will"])[packet_kind]))
            value = inner.value(kind)
            if name == "user_property" or (
                name == "subscription_identifier" and packet_kind == PUBLISH
            ):
                found.setdefault(name, []).append(value)
            elif name in found:
                raise Malformed(name + " twice")
            else:
                found[name] = value
        return found


def _parse_connect(p, c):
    p.name, p.version, bits = c.string(), c.byte(), c.byte()
    p.clean, p.keep_alive = bool(bits & 2), c.u16()
    if bits & 1:
        raise Malformed("the reserved flag of CONNECT is set")
    if p.version == 5:
        p.props = c.properties(CONNECT)
    p.client_id = c.string()
    p.will = p.username = p.password = None
    if bits & 4:
        props = c.properties(WILL) if p.version == 5 else {}
        topic, payload = c.string(), c.binary()
        p.will = Will(topic, payload, bits >> 3 & 3, bool(bits & 0x20), props)
    elif bits & 0x38:
        raise Malformed("QoS or RETAIN of no Will")
    if bits & 0x80:
        p.username = c.string()
    if bits & 0x40:
        p.password = c.binary()


def _parse_publish(p, c, v5):
    p.dup, p.qos = bool(p.flags & 8), p.flags >> 1 & 3
    p.retain = bool(p.flags & 1)
    if p.qos == 3 or (p.dup and not p.qos):
        raise Malformed("PUBLISH with the flags %#x" % p.flags)
    p.topic = c.string()
    if "+" in p.topic or "#" in p.topic:
        raise Malformed("wildcards in the topic name " + p.topic)
    p.id = c.u16() if p.qos else 0
    if p.qos and not p.id:
        raise Malformed("packet identifier 0")
    if v5:
        p.props = c.properties(PUBLISH)
    p.payload = c.rest()


def _parse_ack(p, c, v5):
    p.id, p.reason = c.u16(), 0
    if not p.id:
        raise Malformed("packet identifier 0")
    _parse_reason(p, c, v5)


def _parse_reason(p, c, v5):
    p.reason = 0
    if v5 and not c.is_at_end():
        p.reason = c.byte()
        if not c.is_at_end():
            p.props = c.properties(p.kind)


def _parse_filters(p, c, v5):
    p.id, p.filters = c.u16(), []
    if v5:
        p.props = c.properties(p.kind)
    while not c.is_at_end():
        name = c.string()
        p.filters.append((name, c.byte()) if p.kind == SUBSCRIBE else name)
    if not p.filters or not p.id:
        raise Malformed("no filter or no packet identifier")


def _parse_reasons(p, c, v5):
    p.id = c.u16()
    if v5:
        p.props = c.properties(p.kind)
    p.reasons = list(c.rest())


def _check_reasons(p, version):
    allowed = REASONS.get(p.kind)
    if version != 5:
        allowed = {CONNACK: range(6), SUBACK: (0, 1, 2, 0x80)}.get(p.kind)
    if allowed is None:
        return
    for reason in getattr(p, "reasons", [getattr(p, "reason", 0)]):
        if reason not in allowed:
            raise Malformed("%#x is no reason of %s" % (reason, NAMES[p.kind]))


def parse(first_byte, body, version=5):
    """A Packet out of a fixed header's first byte and what follows it."""
    p = Packet(first_byte, body)
    c = Cursor(body)
    v5 = version == 5
    if p.kind != PUBLISH and p.flags != (2 if p.kind in _FLAGS_2 else 0):
        raise Malformed("%s with the flags %#x" % (NAMES[p.kind], p.flags))
    if p.kind == CONNECT:
        _parse_connect(p, c)
    elif p.kind == CONNACK:
        bits, p.reason = c.byte(), c.byte()
        p.session_present = bool(bits & 1)
        if bits & 0xFE:
            raise Malformed("reserved flags of CONNACK: %#x" % bits)
        if v5:
            p.props = c.properties(CONNACK)
    elif p.kind == PUBLISH:
        _parse_publish(p, c, v5)
    elif p.kind in _ACKS:
        _parse_ack(p, c, v5)
    elif p.kind in (SUBSCRIBE, UNSUBSCRIBE):
        _parse_filters(p, c, v5)
    elif p.kind in (SUBACK, UNSUBACK):
        _parse_reasons(p, c, v5)
    elif p.kind == DISCONNECT or (p.kind == AUTH and v5):
        _parse_reason(p, c, v5)
    elif p.kind not in (PINGREQ, PINGRESP):
        raise Malformed("packet type %d" % p.kind)
    if not c.is_at_end():
        raise Malformed("bytes left over in %r: %r" % (p, c.rest()))
    _check_reasons(p, version)
    return p


# ------------------------------------------------------------ a connection


class Closed(AssertionError):
    """The other side closed the connection where a packet was wanted."""


class Client:
    """One connection.  Keywords are connect()'s; `sock` brings another.

    A refused CONNECT is no error: see connack.reason.  With connect=False
    nothing is sent.  `timeout` (s) is how long any wait may take.
    """

    def __init__(
        self,
        port=None,
        client_id="",
        version=5,
        connect=True,
        sock=None,
        timeout=10,
        host="127.0.0.1",
        **how
    ):
        self.version = version
        self.timeout = timeout
        self.sock = sock or socket.create_connection((host, port), timeout)
        if self.sock.family in (socket.AF_INET, socket.AF_INET6):
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()
        self.seen = []
        self.next_id = 0
        self.connack = None
        if connect:
            self.start(client_id, **how)

    def start(self, client_id="", **how):
        """Send CONNECT and read its CONNACK."""
        self.send(globals()["connect"](client_id, self.version, **how))
        self.connack = self.expect(CONNACK)
        return self

    def send(self, *packets):
        """All packets in one write."""
        self.sock.sendall(b"".join(packets))

    def _take(self):
        if len(self.buffer) < 2:
            return None
        cursor = Cursor(bytes(self.buffer[1:5]))
        if len(self.buffer) < 5 and all(b & 0x80 for b in cursor.data):
            return None
        length = cursor.varint()
        end = 1 + cursor.at + length
        if len(self.buffer) < end:
            return None
        first, body = self.buffer[0], bytes(self.buffer[1 + cursor.at : end])
        del self.buffer[:end]
        return first, body

    def read(self, timeout=None):
        """The next packet; Closed at the end, None when nothing comes."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            whole = self._take()
            if whole is not None:
                packet = parse(*whole, self.version)
                self.seen = self.seen[-9:] + [packet]
                return packet
            self.sock.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                data = self.sock.recv(262144)
            except socket.timeout:
                return None
            except (ConnectionResetError, BrokenPipeError):
                data = b""
            if not data:
                weir.expect(not self.buffer, "closed within a packet")
                raise Closed("closed; before that came %r" % self.seen)
            self.buffer += data

    def expect(self, kind, timeout=None, **fields):
        """The next packet, which must be of this type with these fields."""
        packet = self.read(timeout)
        weir.expect(packet is not None, "no %s came" % NAMES[kind])
        good = packet.kind == kind and all(
            getattr(packet, name) == value for name, value in fields.items()
        )
        weir.expect(good, "%r, not %s %r" % (packet, NAMES[kind], fields))
        return packet

    def closed(self, reason=None, timeout=None):
        """The other side ends the connection, as it should; the last packet.

        MQTT 5.0 with a reason: DISCONNECT (CONNACK before there was one) has
        it.  Else nothing may come but the end.
        """
        last = None
        if reason is not None and self.version == 5:
            kind = CONNACK if self.connack is None else DISCONNECT
            last = self.expect(kind, timeout, reason=reason)
        try:
            more = self.read(timeout)
        except Closed:
            return last
        finally:
            self.sock.close()
        raise AssertionError("not closed: %r came" % more)

    def nothing(self):
        """Nothing was sent but what was read: the next is our PINGRESP."""
        self.send(pingreq())
        self.expect(PINGRESP)

    def new_id(self):
        self.next_id = self.next_id % 65535 + 1
        return self.next_id

    def subscribe(self, topic_filter, byte=0, props=None):
        """Subscribe to one filter and read its SUBACK; its reason."""
        number = self.new_id()
        self.send(
            subscribe(number, (topic_filter, byte), props=props, version=self.version)
        )
        return self.expect(SUBACK, id=number).reasons[0]

    def unsubscribe(self, topic_filter):
        """Unsubscribe from one filter and read its UNSUBACK."""
        number = self.new_id()
        self.send(unsubscribe(number, topic_filter, version=self.version))
        return self.expect(UNSUBACK, id=number)

    def publish(self, topic, payload=b"", qos=0, **more):
        """Publish, and go through the handshake; the last acknowledgement."""
        number = self.new_id() if qos else None
        self.send(publish(topic, payload, qos, number, version=self.version, **more))
        if qos == 1:
            return self.expect(PUBACK, id=number)
        if qos == 2:
            answer = self.expect(PUBREC, id=number)
            if answer.reason >= 0x80:
                return answer
            self.send(pubrel(number))
            return self.expect(PUBCOMP, id=number)
        return None

    def acknowledge(self, message):
        """Go through the handshake of a received PUBLISH."""
        if message.qos == 1:
            self.send(puback(message.id))
        elif message.qos == 2:
            self.send(pubrec(message.id))
            self.expect(PUBREL, id=message.id)
            self.send(pubcomp(message.id))
        return message

    def receive(self, topic, payload=None, **fields):
        """The next packet is this message; it is acknowledged."""
        if payload is not None:
            data = payload if isinstance(payload, bytes) else payload.encode()
            fields["payload"] = data
        return self.acknowledge(self.expect(PUBLISH, topic=topic, **fields))

    def expect_marker(self, publisher, topic, qos=0):
        """Whatever `publisher` sent before, nothing of it comes here now.

        It publishes a last message to `topic` (which this client receives in
        its order), and that is the next one to come.
        """
        mark = b"marker-%d" % publisher.new_id()
        publisher.publish(topic, mark, qos)
        return self.receive(topic, mark)

    def end(self, reason=None, props=None):
        """DISCONNECT, and close when the other side has: it knows then."""
        self.send(disconnect(reason, props))
        self.sock.settimeout(weir.DEADLINE)
        try:
            while self.sock.recv(4096):
                pass
        except OSError:
            pass
        self.sock.close()

    def cut(self):
        """Close without a word."""
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()
