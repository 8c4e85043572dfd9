#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""The tests' own MQTT codec: what it builds it can read, and it is strict."""

import socket

import mqtt_raw as m
import weir

GOOD = [
    (m.connect("c", props={"receive_maximum": 3}), dict(kind=m.CONNECT, version=5)),
    (m.connect("c", 4, username="u", password="p"), dict(version=4, password=b"p")),
    (m.connect("c", 3, clean=False), dict(version=3, name="MQIsdp", clean=False)),
    (
        m.connack(0x87, props={"reason_string": "no", "user_property": [("a", "b")]}),
        dict(reason=0x87, props={"reason_string": "no", "user_property": [("a", "b")]}),
    ),
    (
        m.publish("a/b", "x", 2, 7, True, True, {"subscription_identifier": [1, 300]}),
        dict(qos=2, id=7, dup=True, props={"subscription_identifier": [1, 300]}),
    ),
    (m.publish("a", b"\0", version=4), dict(qos=0, id=0, payload=b"\0")),
    (m.puback(1), dict(kind=m.PUBACK, id=1, reason=0)),
    (m.pubrec(1, 0x80, {"reason_string": "r"}), dict(reason=0x80)),
    (m.pubrel(9, 0x92), dict(kind=m.PUBREL, flags=2, reason=0x92)),
    (m.pubcomp(9), dict(kind=m.PUBCOMP, id=9)),
    (
        m.subscribe(5, ("a/#", m.options(1, True, True, 2))),
        dict(id=5, filters=[("a/#", 0x2D)]),
    ),
    (m.suback(5, 0, 1, 0x8F), dict(id=5, reasons=[0, 1, 0x8F])),
    (m.unsubscribe(6, "a", "b"), dict(filters=["a", "b"])),
    (m.unsuback(6, 0, 0x11), dict(reasons=[0, 0x11])),
    (m.pingreq(), dict(kind=m.PINGREQ)),
    (m.pingresp(), dict(kind=m.PINGRESP)),
    (m.disconnect(), dict(kind=m.DISCONNECT, reason=0)),
    (m.disconnect(4, {"session_expiry_interval": 9}), dict(reason=4)),
    (m.auth(0x18, {"authentication_method": "M"}), dict(reason=0x18)),
]

BAD = [
    ("reserved flags", m.raw(0x41, b"\0\1")),
    ("PUBREL without its flag", m.raw(0x60, b"\0\1")),
    ("DUP with QoS 0", m.raw(0x38, m.string("a") + b"\0")),
    ("QoS 3", m.raw(0x36, m.string("a") + b"\0\1\0")),
    ("packet identifier 0", m.puback(0)),
    ("a topic with a wildcard", m.publish("a/+")),
    ("a topic with U+0000", m.publish("a\0")),
    ("a topic with a surrogate", m.publish(b"\xed\xa0\x80")),
    ("bytes left over", m.raw(0xD0, b"x")),
    ("a body that is cut", m.raw(0x30, b"\0\5ab")),
    ("a property twice", m.connack(0, props=m.one_property("receive_maximum", 1) * 2)),
    ("a property elsewhere", m.publish("a", props=m.one_property("maximum_qos", 1))),
    ("an unknown property", m.publish("a", props=b"\x7f\0")),
    ("a reason of another packet", m.puback(1, 0x92)),
    ("reserved flags of CONNACK", m.raw(0x20, b"\2\0\0")),
    ("a length that is not minimal", m.raw(0x30, m.string("a") + m.varint(0, 2))),
]


def main():
    tap = weir.Tap(60)
    with tap.case("what is built is read"):
        for data, fields in GOOD:
            first, length = data[0], data[1]
            version = 4 if fields.get("payload") == b"\0" else 5
            got = m.parse(first, data[2 : 2 + length], version)
            for name, value in fields.items():
                weir.expect(getattr(got, name) == value, (name, got))
    with tap.case("what the standard forbids is not read"):
        for why, data in BAD:
            try:
                m.parse(data[0], data[2:])
            except m.Malformed:
                continue
            raise AssertionError(why + " was taken")
    with tap.case("a connection takes packets out of pieces, and sees the end"):
        ours, theirs = socket.socketpair()
        client = m.Client(sock=ours, connect=False, timeout=5)
        data = m.connack() + m.publish("a", b"x" * 300)
        for at in range(0, len(data), 7):
            theirs.sendall(data[at : at + 7])
        client.connack = client.expect(m.CONNACK)
        client.expect(m.PUBLISH, topic="a")
        theirs.sendall(m.disconnect(0x8E))
        theirs.close()
        client.closed(0x8E)
    with tap.case("an end where a packet is wanted fails, as silence does"):
        ours, theirs = socket.socketpair()
        client = m.Client(sock=ours, connect=False, timeout=0.01)
        for act in (lambda: client.expect(m.CONNACK), client.nothing):
            try:
                act()
            except AssertionError:
                continue
            raise AssertionError("it passed")
        theirs.close()
        try:
            client.read()
        except m.Closed:
            pass
        else:
            raise AssertionError("no end")
    tap.done()


if __name__ == "__main__":
    main()
