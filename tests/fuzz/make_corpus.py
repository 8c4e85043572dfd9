#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""make_corpus - write the seeds of the MQTT and topic targets anew.

make_corpus.py [FOLDER]: a folder a target in FOLDER (tests/fuzz/corpus), a
file a seed.  A seed is a packet that is right, made by the encoder of the
system tests, so that libFuzzer begins behind the first checks; what the bytes
in front of it mean is said at the head of each target.
"""

import os
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "system"))

import mqtt_raw as m  # noqa: E402

CLIENT = 0x80
VERSIONS = {3: 0, 4: 1, 5: 2}
USER = [("a", "1"), ("b", "2")]
PUBLISH_PROPS = {
    "payload_format_indicator": 1,
    "message_expiry_interval": 60,
    "content_type": "text",
    "response_topic": "r/1",
    "correlation_data": b"\0\1",
    "topic_alias": 3,
    "user_property": USER,
}
WILL_PROPS = dict(PUBLISH_PROPS, will_delay_interval=5)
del WILL_PROPS["topic_alias"]
CONNECT_PROPS = {
    "session_expiry_interval": 3600,
    "receive_maximum": 20,
    "maximum_packet_size": 65536,
    "topic_alias_maximum": 10,
    "request_response_information": 1,
    "request_problem_information": 0,
    "user_property": USER,
    "authentication_method": "SCRAM-SHA-256",
    "authentication_data": b"n,,n=a",
}
CONNACK_PROPS = {
    "session_expiry_interval": 10,
    "receive_maximum": 5,
    "maximum_qos": 1,
    "retain_available": 1,
    "maximum_packet_size": 4096,
    "assigned_client_identifier": "auto-1",
    "topic_alias_maximum": 4,
    "reason_string": "why",
    "user_property": USER,
    "wildcard_subscription_available": 1,
    "subscription_identifier_available": 1,
    "shared_subscription_available": 0,
    "server_keep_alive": 30,
    "response_information": "r/",
    "server_reference": "other:1883",
    "authentication_method": "SCRAM-SHA-256",
    "authentication_data": b"v=1",
}
WHY = {"reason_string": "why", "user_property": USER}


def body(packet):
    """What follows the fixed header."""
    at = 1
    while packet[at] & 0x80:
        at += 1
    return packet[at + 1 :]


def seed(packet, version, role=0):
    """The byte that chooses, and a packet's body."""
    flags = (packet[0] & 15) << 3 if packet[0] >> 4 == m.PUBLISH else 0
    return bytes([VERSIONS[version] | flags | role]) + body(packet)


def connects():
    will = m.Will("will/t", b"gone", 1, True)
    for version in (3, 4):
        yield "plain-%d" % version, m.connect("client", version), version
        full = m.connect("c", version, will=will, username="u", password="p")
        yield "full-%d" % version, full, version
    will = m.Will("will/t", b"gone", 2, True, WILL_PROPS)
    yield "plain-5", m.connect("", 5), 5
    yield "full-5", m.connect(
        "c", 5, will=will, username="u", password="p", props=CONNECT_PROPS
    ), 5


def publishes():
    for qos in (0, 1, 2):
        packet = m.publish("a/b", b"data", qos, 7, dup=qos > 0, version=4)
        if qos == 0:
            packet = m.publish("a/b", b"data", retain=True, version=4)
        yield "qos%d-4" % qos, packet, 4, 0
    yield "full-5", m.publish("a/b", b"data", 1, 7, props=PUBLISH_PROPS), 5, 0
    yield "alias-5", m.publish("", b"x", 2, 9, props={"topic_alias": 1}), 5, 0
    many = {"subscription_identifier": [1, 300, 70000], "user_property": USER}
    yield "identifiers-5", m.publish("a", b"", props=many), 5, CLIENT


def acks():
    for kind in (m.PUBACK, m.PUBREC, m.PUBREL, m.PUBCOMP):
        which = bytes([kind - m.PUBACK])
        name = m.NAMES[kind].lower()
        yield name + "-4", which + seed(m.ack(kind, 5), 4)
        bad = 0x92 if kind in (m.PUBREL, m.PUBCOMP) else 0x97
        yield name + "-5", which + seed(m.ack(kind, 5, bad, WHY), 5)


def filters():
    """Of SUBSCRIBE, of UNSUBSCRIBE: name, packet, version."""
    lines = [("a/+/c", 1), ("#", 2), ("$share/g/a/#", 0)]
    names = [line[0] for line in lines]
    props = {"subscription_identifier": 5, "user_property": USER}
    full = lines + [("b", m.options(2, True, True, 2))]
    some = {"user_property": USER}
    subscribe = [
        ("lines-4", m.subscribe(3, *lines, version=4), 4),
        ("lines-5", m.subscribe(3, *full, props=props), 5),
    ]
    unsubscribe = [
        ("lines-4", m.unsubscribe(3, *names, version=4), 4),
        ("lines-5", m.unsubscribe(3, *names, props=some), 5),
    ]
    return subscribe, unsubscribe


def answers():
    yield "suback-4", b"\0" + seed(m.suback(3, 0, 1, 2, 0x80, version=4), 4)
    yield "suback-5", b"\0" + seed(m.suback(3, 0, 1, 2, 0x8F, props=WHY), 5)
    yield "unsuback-4", b"\1" + seed(m.unsuback(3, version=4), 4)
    yield "unsuback-5", b"\1" + seed(m.unsuback(3, 0, 0x11, props=WHY), 5)


def ends():
    more = dict(WHY, session_expiry_interval=5)
    yield "disconnect-4", b"\0" + seed(m.disconnect(), 4)
    yield "disconnect-5", b"\0" + seed(m.disconnect(4, more), 5)
    other = dict(WHY, server_reference="b")
    yield "redirect-5", b"\0" + seed(m.disconnect(0x9C, other), 5, CLIENT)
    scram = dict(WHY, authentication_method="S", authentication_data=b"c=")
    yield "auth-5", b"\1" + seed(m.auth(0x18, scram), 5)
    yield "ping", b"\6" + seed(m.pingreq(), 4)


def property_lists():
    for name, kind, props in (
        ("will", 0, WILL_PROPS),
        ("connect", m.CONNECT, CONNECT_PROPS),
        ("connack", m.CONNACK, CONNACK_PROPS),
        ("publish", m.PUBLISH, PUBLISH_PROPS),
        ("subscribe", m.SUBSCRIBE, {"subscription_identifier": 268435455}),
        ("puback", m.PUBACK, WHY),
    ):
        yield name, bytes([kind]) + m.properties(props)


def frames():
    both = m.publish("a", b"x" * 200, version=4) + m.pingreq()
    yield "several-4", bytes([1, 0xFF]) + m.connect("c", 4) + both
    yield "several-5", bytes([2, 0xFF]) + m.connect("c") + m.pingreq()
    yield "limit", bytes([2, 20]) + m.publish("a", b"x" * 17)
    yield "padded", bytes([1, 0xFF]) + b"\xd0\x80\x80\x00\xe0\x00"
    yield "largest", bytes([1, 0xFF]) + b"\x30\xff\xff\xff\x7f"
    yield "too-long", bytes([1, 0xFF]) + b"\x30\xff\xff\xff\xff\x01"
    for kind in range(1, 16):
        flags = 2 if kind in (m.PUBREL, m.SUBSCRIBE, m.UNSUBSCRIBE) else 0
        yield "type-%d" % kind, bytes([2, 0xFF, kind << 4 | flags, 2, 0, 1])


def topics():
    for number, (topic_filter, name) in enumerate(
        [
            ("a/+/c", "a/b/c"),
            ("a/#", "a"),
            ("#", "$SYS/x"),
            ("+/+", "/a"),
            ("$share/g/a/+", "a/b"),
            ("\u00e9/\U0001f600", "\u00e9/\U0001f600"),
            ("a/b#/+c", "a//"),
        ]
    ):
        text = topic_filter.encode() + b"\xff" + name.encode()
        yield "plain-%d" % number, b"\0" + text
    # The letters of the target's own alphabet, by their places in it.
    yield "few-0", b"\1" + bytes([0, 2, 3, 2, 4, 0xFF, 0, 2, 1, 2, 1])
    yield "few-1", b"\1" + bytes([3, 2, 3, 0xFF, 5, 2, 1])
    yield "few-2", b"\1" + bytes([5, 9, 10, 11, 12, 13, 2, 0, 2, 3, 2, 4])
    yield "bad-utf8", b"\0\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80\xff\xe2\x82"


def programs():
    """Of the subscription tree: what to do, who, letters up to 0x80."""

    def step(what, who, *letters):
        text = bytearray(letters)
        text[-1] |= 0x80
        return bytes([what, who]) + bytes(text)

    yield "plain", step(6, 0, 1, 0, 2) + step(6, 1, 1, 7) + step(1, 0, 1, 0, 2)
    shared = step(6, 0, 8, 9, 1) + step(6, 1, 8, 9, 1) + step(6, 2, 1)
    yield "shared", shared + step(1, 0, 1) + step(5, 0, 8, 9, 1) + step(1, 0, 1)
    away = step(4, 1, 1) + step(1, 0, 1) + step(4, 0x81, 1) + step(1, 0, 1)
    yield "online", shared + away
    dollar = step(6, 0, 4) + step(6, 1, 3, 0, 3) + step(6, 2, 5, 7)
    yield "dollar", dollar + step(1, 0, 5, 0, 1) + step(0, 2, 1) + step(1, 0, 5)


def records():
    head = struct.pack("<BBBBHHIIII", 1, 1, 1, 0, 1, 0, 0, 1, 60, 0)
    yield "message", b"\0" + head + b"tp"
    yield "auth", b"\1" + struct.pack("<BBHHH", 1, 0, 1, 1, 1) + b"upa"
    dead = struct.pack("<BBHIQQQ", 1, 0, 3, 1, 2, 3, 4)
    yield "dead", b"\2" + dead + b"why" + head + b"tp"
    yield "answer", b"\3" + bytes(16)
    yield "result", b"\3" + bytes(64)


def websocket_answers():
    frames_ = b"\x82\x02ab\x89\x01p\x02\x01a\x80\x01b\x88\x02\x03\xe8"
    yield "frames", bytes([1 | 63 << 1]) + frames_
    yield "cut", bytes([1]) + frames_
    head = b"HTTP/1.1 404 Not Found\r\nUpgrade: websocket\r\n\r\n"
    yield "refused", bytes([0]) + head
    bare = b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    yield "bare", bytes([2 | 63 << 1]) + bare


def proxies():
    def header(command, family, rest):
        start = b"\r\n\r\n\0\r\nQUIT\n" + bytes([command, family])
        return start + struct.pack(">H", len(rest)) + rest

    def entry(kind, value):
        return struct.pack(">BH", kind, len(value)) + value

    v4 = bytes([10, 0, 0, 7, 10, 0, 0, 1]) + struct.pack(">HH", 40000, 1883)
    v6 = bytes(15) + b"\1" + bytes(15) + b"\2" + struct.pack(">HH", 40000, 1883)
    name = entry(0x21, b"TLSv1.3") + entry(0x22, b"sensor-7")
    tls = entry(0x20, b"\3\0\0\0\0" + name)
    yield "local", b"\0" + header(0x20, 0, b"")
    yield "v4", b"\0" + header(0x21, 0x11, v4 + entry(4, b"pad"))
    yield "v4-checksum", b"\1" + header(0x21, 0x11, v4 + entry(3, bytes(4)) + tls)
    yield "v6-tls", b"\0" + header(0x21, 0x21, v6 + entry(1, b"mqtt") + tls)
    yield "unix", b"\0" + header(0x21, 0x31, bytes(216) + tls)


def websocket_requests():
    """Of the server's half; the first byte cuts them."""
    lines = [
        b"GET /mqtt HTTP/1.1",
        b"Host: h:1",
        b"Upgrade: websocket",
        b"Connection: keep-alive, Upgrade",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Protocol: mqttv3.1, mqtt",
    ]

    def request(*more):
        return b"\r\n".join(lines + list(more)) + b"\r\n\r\n"

    yield "good", b"\xff" + request() + b"\x82\x80abcd"
    yield "origin", b"\x03" + request(b"Origin: https://good.example")
    yield "stranger", b"\x07" + request(b"Origin: null")
    yield "twice", b"\xff" + request(lines[4])
    yield "path", b"\0" + request().replace(b"/mqtt", b"/other?x=1")
    yield "plain", b"\xff" + b"GET / HTTP/1.0\r\n\r\n"
    yield "mqtt", b"\xff" + m.connect("c", 4)


def controls():
    for kind, size in ((1, 160), (2, 90), (3, 120), (11, 80), (17, 90)):
        yield "type-%d" % kind, bytes([0, kind]) + bytes(size)


def bridges():
    """JSON, as it comes by HTTP."""
    yield "rules", b"""{"url":"mqtt://h:99","name":"made","client_id":"q\\"\\\\ \\u00fc\\n;",
"password":null,"announce_bridge":false,"max_inflight":7,"forward":[{"filter":"x/#",
"qos":2},{"filter":"y"}],"ring":{"capacity":"64KiB"}}"""
    yield "numbers", b'{"a":2147483648,"b":-2147483648,"c":1.5e22,"d":-0.1,"e":[],"f":{}}'
    yield "words", b'{"true":1,"x":"@include \\"f\\"","y":"*/ z = 1; /*","z":[[1],["a"]]}'


def proofs():
    """client-first, and what follows the nonce in client-final."""
    yield "plain", b"\0n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL\xff"
    yield "for-itself", b"\x07y,a=u=2Cv,n=u=2Cv,r=0,ext=1\xff,x=1,y=2"
    yield "bound", b"\0p=tls-unique,,n=u,r=1\xff,p=AAAA"


def corpora():
    """target: {name: seed}"""
    subscribe, unsubscribe = filters()
    packets = {
        "connect": list(connects()),
        "subscribe": subscribe,
        "unsubscribe": unsubscribe,
        "connack": [
            ("good-4", m.connack(0, True, version=4), 4),
            ("bad-4", m.connack(5, version=4), 4),
            ("full-5", m.connack(0, True, CONNACK_PROPS), 5),
            ("bad-5", m.connack(0x87, False, WHY), 5),
        ],
    }
    out = {
        "fuzz_mqtt_" + kind: {name: seed(*rest) for name, *rest in rows}
        for kind, rows in packets.items()
    }
    out["fuzz_mqtt_publish"] = {name: seed(*rest) for name, *rest in publishes()}
    for target, rows in (
        ("mqtt_ack", acks()),
        ("mqtt_suback", answers()),
        ("mqtt_disconnect", ends()),
        ("mqtt_properties", property_lists()),
        ("mqtt_frame", frames()),
        ("topic", topics()),
        ("subscription_tree", programs()),
        ("record", records()),
        ("websocket_answer", websocket_answers()),
        ("proxy", proxies()),
        ("websocket_head", websocket_requests()),
        ("ring_control", controls()),
        ("manage_conf", bridges()),
        ("scram", proofs()),
    ):
        out["fuzz_" + target] = dict(rows)
    return out


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "corpus")
    for target, seeds in corpora().items():
        folder = os.path.join(root, target)
        os.makedirs(folder, exist_ok=True)
        for name, data in seeds.items():
            with open(os.path.join(folder, name), "wb") as f:
                f.write(data)
        print("%-26s %d seeds" % (target, len(seeds)))


if __name__ == "__main__":
    main()
