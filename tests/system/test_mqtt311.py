#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""The statements of MQTT 3.1.1 that bind a server, packet by packet.

One broker for all of them.  A row of REFUSED_* is a packet that ends its
connection, without a word: MQTT 3.1.1 has no DISCONNECT of a server.  What
binds the client is shown here of a client that does not keep to it.
"""

import os
import time

import mqtt_raw as m
import weir

V = 4
BOM = b"\xef\xbb\xbf"
SURROGATE = b"\xed\xa0\x80"
LONG = 65535


def connect(*arguments, **more):
    return m.connect(*arguments, version=V, **more)


def publish(*arguments, **more):
    return m.publish(*arguments, version=V, **more)


def subscribe(*arguments):
    return m.subscribe(*arguments, version=V)


def unsubscribe(*arguments):
    return m.unsubscribe(*arguments, version=V)


WILL = m.Will("will/t", b"w")
USER = {"username": "u", "password": "p"}

# Of a connection that has sent nothing else.
REFUSED_CONNECTS = [
    ("[MQTT3-3.1.0-1] PINGREQ comes first", m.pingreq()),
    ("[MQTT3-3.1.0-1] PUBLISH comes first", publish("a", b"x")),
    ("[MQTT3-3.1.2-1] the protocol is not MQTT", connect("c", name="MQTA")),
    ("[MQTT3-3.1.2-3] the reserved flag of CONNECT", connect("c", flags=3)),
    ("[MQTT3-3.1.2-9] Will Flag, but no Will", connect("c", flags=6)),
    ("[MQTT3-3.1.2-11] a Will, but no Will Flag", connect("c", will=WILL, flags=2)),
    ("[MQTT3-3.1.2-11] [MQTT3-3.1.2-13] Will QoS 1 of no Will",
     connect("c", flags=0x0A)),
    ("[MQTT3-3.1.2-14] Will QoS 3", connect("c", will=WILL, flags=0x1E)),
    ("[MQTT3-3.1.2-15] Will Retain of no Will", connect("c", flags=0x22)),
    ("[MQTT3-3.1.2-18] a user name without its flag",
     connect("c", username="u", flags=2)),
    ("[MQTT3-3.1.2-19] no user name with its flag", connect("c", flags=0x82)),
    ("[MQTT3-3.1.2-20] a password without its flag",
     connect("c", flags=0x82, **USER)),
    ("[MQTT3-3.1.2-21] no password with its flag",
     connect("c", username="u", flags=0xC2)),
    ("[MQTT3-3.1.2-22] a password without a user name",
     connect("c", password="p", flags=0x42)),
    ("[MQTT3-3.1.3-3] no client identifier",
     m.raw(0x10, m.string("MQTT") + b"\4\2\0\x3c")),
    ("[MQTT3-3.1.3-4] [MQTT3-1.5.3-1] a client identifier that is no UTF-8",
     connect(b"\xff")),
    ("[MQTT3-1.5.3-1] a surrogate in it", connect(b"a" + SURROGATE)),
    ("[MQTT3-1.5.3-2] U+0000 in it", connect(b"a\0b")),
    ("[MQTT3-3.1.3-10] a Will Topic that is no UTF-8",
     connect("c", will=m.Will(b"\xc0\x80"))),
    ("[MQTT3-3.1.3-11] a user name that is no UTF-8", connect("c", username=b"\xfe")),
    ("[MQTT3-4.7.1-1] a Will Topic with wildcards", connect("c", will=m.Will("a/+"))),
    ("[MQTT3-2.2.2-2] CONNECT with flags",
     b"\x11" + connect("c")[1:]),
    ("[MQTT3-3.1.4-1] CONNECT with bytes left over",
     m.raw(0x10, connect("c")[2:] + b"x")),
    ("[MQTT3-3.1.4-1] CONNECT that is cut", m.raw(0x10, connect("c")[2:-1])),
]

# Of a connection that is accepted.
REFUSED_PACKETS = [
    ("[MQTT3-3.1.0-2] a second CONNECT", connect("c")),
    ("[MQTT3-2.2.2-1] [MQTT3-2.2.2-2] PUBACK with flags", m.raw(0x41, b"\0\1")),
    ("[MQTT3-2.2.2-2] PUBREC with flags", m.raw(0x52, b"\0\1")),
    ("[MQTT3-2.2.2-2] PUBCOMP with flags", m.raw(0x74, b"\0\1")),
    ("[MQTT3-2.2.2-2] PINGREQ with flags", m.raw(0xC8)),
    ("[MQTT3-3.6.1-1] PUBREL without its flags", m.raw(0x60, b"\0\1")),
    ("[MQTT3-3.8.1-1] SUBSCRIBE without its flags",
     m.raw(0x80, subscribe(1, ("a", 0))[2:])),
    ("[MQTT3-3.10.1-1] UNSUBSCRIBE without its flags",
     m.raw(0xA0, unsubscribe(1, "a")[2:])),
    ("[MQTT3-3.14.1-1] DISCONNECT with flags", m.raw(0xE1)),
    ("[MQTT3-2.3.1-1] PUBLISH of QoS 1 with the identifier 0",
     publish("a", b"", 1, 0)),
    ("[MQTT3-2.3.1-1] SUBSCRIBE with the identifier 0", subscribe(0, ("a", 0))),
    ("[MQTT3-2.3.1-1] UNSUBSCRIBE with the identifier 0", unsubscribe(0, "a")),
    ("[MQTT3-3.3.1-2] DUP with QoS 0", publish("a", b"", dup=True)),
    ("[MQTT3-3.3.1-4] QoS 3", m.raw(0x36, m.string("a") + b"\0\1")),
    ("[MQTT3-3.3.2-1] [MQTT3-1.5.3-1] a topic name that is no UTF-8",
     publish(b"a/\xc1\xbf", b"")),
    ("[MQTT3-1.5.3-1] a surrogate in a topic name", publish(SURROGATE, b"")),
    ("[MQTT3-1.5.3-2] [MQTT3-4.7.3-2] U+0000 in a topic name", publish(b"a\0", b"")),
    ("[MQTT3-3.3.2-2] [MQTT3-4.7.1-1] '#' in a topic name", publish("a/#", b"")),
    ("[MQTT3-3.3.2-2] [MQTT3-4.7.1-1] '+' in a topic name", publish("a+b", b"")),
    ("[MQTT3-4.7.3-1] an empty topic name", publish("", b"x")),
    ("[MQTT3-3.8.3-1] a filter that is no UTF-8", subscribe(1, (b"\xff", 0))),
    ("[MQTT3-4.7.3-2] U+0000 in a filter", subscribe(1, (b"a\0b", 0))),
    ("[MQTT3-4.7.3-1] an empty filter", subscribe(1, ("", 0))),
    ("[MQTT3-3.8.3-3] SUBSCRIBE without a filter", subscribe(1)),
    ("[MQTT3-3.8.3-4] SUBSCRIBE with QoS 3", subscribe(1, ("a", 3))),
    ("[MQTT3-3.8.3-4] the other bits of that byte", subscribe(1, ("a", 0x04))),
    ("[MQTT3-3.8.3-4] its highest bit", subscribe(1, ("a", 0x81))),
    ("[MQTT3-3.10.3-1] UNSUBSCRIBE from what is no UTF-8", unsubscribe(1, b"\xff")),
    ("[MQTT3-3.10.3-1] UNSUBSCRIBE with a gap",
     m.raw(0xA2, b"\0\1" + m.string("a") + b"\0")),
    ("[MQTT3-3.10.3-2] UNSUBSCRIBE without a filter", unsubscribe(1)),
    ("[MQTT3-4.7.1-2] '#' that is not last", subscribe(1, ("a/#/b", 0))),
    ("[MQTT3-4.7.1-2] '#' that is not alone", subscribe(1, ("a/b#", 0))),
    ("[MQTT3-4.7.1-3] '+' that does not fill a level", subscribe(1, ("a/b+", 0))),
    ("[MQTT3-4.8.0-1] CONNACK from a client", m.connack(version=V)),
    ("[MQTT3-4.8.0-1] SUBACK from a client", m.suback(1, 0, version=V)),
    ("[MQTT3-4.8.0-1] PINGRESP from a client", m.pingresp()),
    ("[MQTT3-4.8.0-1] the reserved type 0", m.raw(0x00)),
    ("[MQTT3-4.8.0-1] the reserved type 15", m.raw(0xF0, b"\0\0")),
    ("[MQTT3-4.8.0-1] a length of five bytes", b"\x30\xff\xff\xff\xff\x01"),
    ("[MQTT3-4.8.0-1] PINGREQ with a body", m.raw(0xC0, b"x")),
    ("[MQTT3-4.8.0-1] PUBACK with a reason", m.puback(1, 0)),
    ("[MQTT3-4.8.0-1] a PUBLISH whose topic ends behind it", m.raw(0x30, b"\0\5a")),
]


def drain(client, count):
    """So many messages, in their order, all handshakes gone through.

    The packets of a handshake may come between the messages.
    """
    messages, open_handshakes = [], 0
    while len(messages) < count or open_handshakes:
        packet = client.read()
        weir.expect(packet is not None, "%d of %d came" % (len(messages), count))
        if packet.kind == m.PUBREL:
            client.send(m.pubcomp(packet.id))
            open_handshakes -= 1
            continue
        weir.expect(packet.kind == m.PUBLISH, packet)
        messages.append(packet)
        if packet.qos == 1:
            client.send(m.puback(packet.id))
        elif packet.qos == 2:
            client.send(m.pubrec(packet.id))
            open_handshakes += 1
    return messages


class Scene:
    """The broker, and clients with names of their own."""

    def __init__(self, suite):
        self.suite = suite
        self.count = 0
        self.clients = []

    def name(self):
        self.count += 1
        return "c%d" % self.count

    def client(self, client_id=None, **more):
        client = m.Client(self.suite.port, client_id or self.name(), V, **more)
        self.clients.append(client)
        return client

    def silent(self):
        client = m.Client(self.suite.port, version=V, connect=False)
        self.clients.append(client)
        return client

    def close(self):
        for client in self.clients:
            client.cut()


def refusals(tap, scene):
    for name, data in REFUSED_CONNECTS:
        with tap.case(name):
            client = scene.silent()
            client.send(data)
            client.closed()
    neighbour = scene.client()
    for name, data in REFUSED_PACKETS:
        with tap.case(name):
            client = scene.client()
            client.send(data)
            client.closed()
    with tap.case("none of that harms who is beside"):
        neighbour.nothing()


def refused_with_a_code(tap, scene):
    with tap.case("[MQTT3-3.1.2-2] [MQTT3-3.2.2-5] an unknown level: 0x01, and the end"):
        for level in (0, 1, 2, 3):
            client = scene.silent()
            body = m.string("MQTT") + bytes([level, 2, 0, 60]) + m.string("c")
            client.send(m.raw(0x10, body))
            client.expect(m.CONNACK, reason=1, session_present=False)
            client.closed()
    with tap.case(
        "[MQTT3-3.1.3-7] [MQTT3-3.1.3-8] [MQTT3-3.1.3-9] [MQTT3-3.2.2-4] "
        "an empty identifier without Clean Session: 0x02, and the end"
    ):
        client = scene.silent()
        client.send(connect("", clean=False))
        client.expect(m.CONNACK, reason=2, session_present=False)
        client.closed()
    with tap.case("[MQTT3-3.2.2-4] [MQTT3-3.2.2-5] a wrong password: 0x04, and the end"):
        client = scene.silent()
        client.send(connect("pw", username="admin", password="no"))
        client.expect(m.CONNACK, reason=4, session_present=False)
        client.closed()
    with tap.case("[MQTT3-3.1.4-5] what comes behind a refused CONNECT is not processed"):
        watcher = scene.client()
        watcher.subscribe("behind", 0)
        client = scene.silent()
        client.send(
            connect("pw", username="admin", password="no"), publish("behind", b"x")
        )
        client.expect(m.CONNACK, reason=4)
        client.closed()
        watcher.expect_marker(scene.client(), "behind")
    with tap.case("[MQTT3-3.2.2-6] what no code fits is refused without one"):
        client = scene.silent()
        client.send(connect("c", flags=1))
        client.closed()


def connections(tap, scene):
    with tap.case(
        "[MQTT3-3.2.0-1] [MQTT3-3.1.4-4] CONNACK 0 is the first packet, "
        "also to who has sent more at once"
    ):
        client = scene.silent()
        client.send(
            connect(scene.name()), subscribe(1, ("first", 0)), publish("first", b"x")
        )
        client.expect(m.CONNACK, reason=0)
        client.expect(m.SUBACK, id=1)
        client.expect(m.PUBLISH, topic="first")
    with tap.case("[MQTT3-3.1.3-5] identifiers of 1 to 23 letters and digits"):
        letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
        for name in ("a", letters[:23], letters[23:46], letters[39:]):
            scene.client(name).end()
    with tap.case("identifiers of other letters, and of 300 bytes, too"):
        for name in ("\u00fc/+# ", "x" * 300):
            client = scene.client(name, clean=False)
            weir.expect(not client.connack.session_present, name)
            client.end()
            weir.expect(
                scene.client(name, clean=False).connack.session_present, name
            )
            scene.client(name).end()
    with tap.case("[MQTT3-3.1.3-6] empty identifiers are as many clients"):
        one, two = scene.client(""), scene.client("")
        one = m.Client(scene.suite.port, "", V)
        weir.expect(not one.connack.session_present, "a session")
        for client in (one, two):
            client.nothing()
        one.end()
    with tap.case("[MQTT3-3.1.4-2] the older connection of an identifier is closed"):
        name = scene.name()
        older, newer = scene.client(name), scene.client(name)
        older.closed()
        newer.nothing()
    with tap.case(
        "[MQTT3-3.1.3-1] user name, password and Will have their places in CONNECT"
    ):
        watcher = scene.client()
        watcher.subscribe("order/t", 0)
        will = m.Will("order/t", b"payload", 0)
        client = scene.client(
            "order", will=will, username="admin", password="public"
        )
        weir.expect(client.connack.reason == 0, "the password is another")
        client.cut()
        watcher.receive("order/t", b"payload")
    with tap.case("[MQTT3-3.12.4-1] PINGREQ is answered"):
        client = scene.client()
        client.send(m.pingreq(), m.pingreq())
        client.expect(m.PINGRESP)
        client.expect(m.PINGRESP)
    with tap.case("[MQTT3-3.14.4-2] what comes behind DISCONNECT is not processed"):
        watcher = scene.client()
        watcher.subscribe("late", 0)
        client = scene.client()
        client.send(m.disconnect(), publish("late", b"x"))
        client.closed()
        watcher.expect_marker(scene.client(), "late")
    with tap.case("[MQTT3-3.14.4-1] the server closes who does not after DISCONNECT"):
        client = scene.client()
        client.send(m.disconnect())
        client.closed()


def sessions(tap, scene):
    other = scene.client()
    with tap.case(
        "[MQTT3-3.2.2-3] Session Present is 0 without a session, "
        "[MQTT3-3.2.2-2] [MQTT3-3.1.2-4] [MQTT3-3.1.3-2] 1 with one"
    ):
        client = scene.client("kept", clean=False)
        weir.expect(not client.connack.session_present, "a session")
        client.subscribe("s/#", 2)
        client.end()
        client = scene.client("kept", clean=False)
        weir.expect(client.connack.session_present, "no session")
        other.publish("s/1", b"one", 1)
        client.receive("s/1", b"one", qos=1)
        client.end()
    with tap.case(
        "[MQTT3-3.1.2-5] [MQTT3-4.5.0-1] QoS 1 and 2 wait for a session, in order"
    ):
        for number in range(20):
            other.publish("s/%d" % number, b"x", 1 + number % 2)
        client = scene.client("kept", clean=False)
        got = [(p.topic, p.qos, p.dup) for p in drain(client, 20)]
        want = [("s/%d" % n, 1 + n % 2, False) for n in range(20)]
        weir.expect(got == want, got)
        client.nothing()
        client.end()
    with tap.case(
        "[MQTT3-4.1.0-1] [MQTT3-4.1.0-2] a session outlives its connections, "
        "however they end"
    ):
        for end in ("end", "cut", "end"):
            client = scene.client("kept", clean=False)
            weir.expect(client.connack.session_present, end)
            getattr(client, end)()
    with tap.case(
        "[MQTT3-3.1.2-6] [MQTT3-3.1.4-3] [MQTT3-3.2.2-1] Clean Session: 0, "
        "and the old one is gone"
    ):
        client = scene.client("kept", clean=True)
        weir.expect(not client.connack.session_present, "it is there")
        other.publish("s/1", b"two", 1)
        client.nothing()
        client.subscribe("s/#", 1)
        client.end()
        client = scene.client("kept", clean=False)
        weir.expect(not client.connack.session_present, "it was kept")
        other.publish("s/1", b"three", 1)
        client.nothing()
        scene.client("kept").end()
    with tap.case("[MQTT3-3.1.2-7] retained messages outlive the session they came by"):
        client = scene.client("giver", clean=True)
        client.publish("stay/1", b"r", 1, retain=True)
        client.end()
        scene.client("giver", clean=True).end()
        reader = scene.client()
        reader.subscribe("stay/1", 0)
        reader.receive("stay/1", b"r", retain=True)
        other.publish("stay/1", b"", 1, retain=True)


def again(tap, scene):
    """What was not acknowledged comes again with the session."""
    other = scene.client()
    with tap.case(
        "[MQTT3-4.4.0-1] [MQTT3-3.3.1-1] [MQTT3-2.3.1-4] [MQTT3-4.6.0-1] "
        "what was not acknowledged comes again, with DUP, its identifier, in order"
    ):
        client = scene.client("again", clean=False)
        client.subscribe("r/+", 2)
        sent = []
        for number in range(6):
            other.publish("r/%d" % number, b"x", 1 + number % 2)
        for number in range(6):
            message = client.expect(m.PUBLISH, topic="r/%d" % number, dup=False)
            sent.append((message.topic, message.qos, message.id))
        weir.expect(len({row[2] for row in sent}) == 6, sent)
        client.cut()
        client = scene.client("again", clean=False)
        for topic, qos, number in sent:
            client.expect(m.PUBLISH, topic=topic, qos=qos, id=number, dup=True)
    with tap.case(
        "[MQTT3-4.4.0-1] [MQTT3-4.3.3-1] after PUBREC it is PUBREL that comes again"
    ):
        seconds = [row for row in sent if row[1] == 2]
        for _, _, number in seconds:
            client.send(m.pubrec(number))
            client.expect(m.PUBREL, id=number)
        client.cut()
        client = scene.client("again", clean=False)
        firsts = [row for row in sent if row[1] == 1]
        got = sorted(
            (packet.kind, packet.id) for packet in (client.read() for _ in sent)
        )
        want = [(m.PUBLISH, row[2]) for row in firsts]
        want += [(m.PUBREL, row[2]) for row in seconds]
        weir.expect(got == sorted(want), (got, want))
    with tap.case("[MQTT3-4.3.2-1] [MQTT3-2.3.1-3] after its acknowledgement nothing does"):
        for _, qos, number in sent:
            client.send(m.puback(number) if qos == 1 else m.pubcomp(number))
        client.nothing()
        client.cut()
        client = scene.client("again", clean=False)
        client.nothing()
        scene.client("again").end()


def qualities(tap, scene):
    with tap.case(
        "[MQTT3-4.3.1-1] [MQTT3-2.3.1-5] [MQTT3-3.3.4-1] QoS 0: one packet, "
        "no identifier, no answer"
    ):
        reader, writer = scene.client(), scene.client()
        reader.subscribe("q", 0)
        writer.publish("q", b"zero")
        writer.nothing()
        packet = reader.expect(m.PUBLISH, topic="q", payload=b"zero", qos=0, dup=False)
        weir.expect(packet.body == m.string("q") + b"zero", packet.body)
    with tap.case(
        "[MQTT3-4.3.2-2] [MQTT3-2.3.1-6] [MQTT3-3.3.4-1] [MQTT3-4.5.0-2] QoS 1: "
        "PUBACK with the identifier; again with DUP is another message"
    ):
        reader.subscribe("q", 1)
        for number, dup in ((7, False), (65535, False), (7, True)):
            writer.send(publish("q", b"one", 1, number, dup=dup))
            writer.expect(m.PUBACK, id=number)
            reader.receive("q", b"one", qos=1)
    with tap.case(
        "[MQTT3-4.3.3-2] [MQTT3-2.3.1-6] QoS 2: PUBREC, PUBCOMP; until PUBREL, "
        "one message however often it comes"
    ):
        reader.subscribe("q", 2)
        for dup in (False, True, True):
            writer.send(publish("q", b"two", 2, 9, dup=dup))
            writer.expect(m.PUBREC, id=9)
        writer.send(m.pubrel(9))
        writer.expect(m.PUBCOMP, id=9)
        reader.receive("q", b"two", qos=2)
        reader.expect_marker(scene.client(), "q")
        writer.send(publish("q", b"three", 2, 9))
        writer.expect(m.PUBREC, id=9)
        writer.send(m.pubrel(9))
        writer.expect(m.PUBCOMP, id=9)
        reader.receive("q", b"three", qos=2)
    with tap.case("[MQTT3-4.3.3-2] PUBREL of what is not there is completed"):
        writer.send(m.pubrel(1234))
        writer.expect(m.PUBCOMP, id=1234)
    with tap.case("[MQTT3-3.3.1-3] DUP that came is not sent on"):
        writer.send(publish("q", b"dup", 1, 11, dup=True))
        writer.expect(m.PUBACK, id=11)
        reader.receive("q", b"dup", dup=False)
    with tap.case(
        "[MQTT3-4.6.0-6] [MQTT3-4.6.0-5] 300 messages of a topic keep their order"
    ):
        for qos in (0, 1, 2):
            reader.subscribe("line", qos)
            for number in range(100):
                writer.publish("line", b"%d" % number, qos)
            got = [(p.payload, p.qos) for p in drain(reader, 100)]
            want = [(b"%d" % number, qos) for number in range(100)]
            weir.expect(got == want, got)
    with tap.case("[MQTT3-2.3.1-2] two messages under one identifier are not confused"):
        writer.send(publish("q", b"a", 2, 3))
        writer.expect(m.PUBREC, id=3)
        writer.send(m.pubrel(3), publish("q", b"b", 2, 3))
        writer.expect(m.PUBCOMP, id=3)
        writer.expect(m.PUBREC, id=3)
        got = [p.payload for p in drain(reader, 2)]
        weir.expect(got == [b"a", b"b"], got)


def retained(tap, scene):
    writer = scene.client()

    def reads(topic_filter, *wanted, qos=2):
        """What a new subscription gets at once."""
        reader = scene.client()
        reader.subscribe(topic_filter, qos)
        got = []
        for _ in wanted:
            got.append(reader.acknowledge(reader.expect(m.PUBLISH, retain=True)))
        reader.nothing()
        got = sorted((p.topic, p.payload, p.qos) for p in got)
        weir.expect(got == sorted(wanted), got)

    with tap.case("[MQTT3-3.3.1-5] the message and its QoS are kept"):
        for qos in (0, 1, 2):
            writer.publish("k/%d" % qos, b"v%d" % qos, qos, retain=True)
            reads("k/%d" % qos, ("k/%d" % qos, b"v%d" % qos, qos))
    with tap.case(
        "[MQTT3-3.3.1-6] [MQTT3-3.3.1-8] a new subscription gets the last of each "
        "topic, with RETAIN"
    ):
        writer.publish("k/1", b"newer", 1, retain=True)
        reads("k/+", ("k/0", b"v0", 0), ("k/1", b"newer", 1), ("k/2", b"v2", 2))
    with tap.case("[MQTT3-3.3.1-7] one of QoS 0 replaces it"):
        writer.publish("k/2", b"zero", 0, retain=True)
        reads("k/2", ("k/2", b"zero", 0))
    with tap.case("[MQTT3-3.3.1-9] who is subscribed gets it without RETAIN"):
        reader = scene.client()
        reader.subscribe("k/3", 1)
        writer.publish("k/3", b"live", 1, retain=True)
        reader.receive("k/3", b"live", retain=False)
    with tap.case("[MQTT3-3.3.1-12] a message without RETAIN does not touch it"):
        writer.publish("k/3", b"passing", 1)
        reader.receive("k/3", b"passing", retain=False)
        reads("k/3", ("k/3", b"live", 1))
    with tap.case(
        "[MQTT3-3.3.1-10] [MQTT3-3.3.1-11] an empty one takes it away, "
        "and goes to who is subscribed"
    ):
        writer.publish("k/3", b"", 1, retain=True)
        reader.receive("k/3", b"", retain=False)
        reads("k/3")
    with tap.case(
        "[MQTT3-3.8.4-3] a subscription of the same filter replaces the older, "
        "and gets what is retained again"
    ):
        reader = scene.client()
        for qos in (0, 2, 1):
            reader.subscribe("k/1", qos)
            reader.receive("k/1", b"newer", retain=True, qos=min(qos, 1))
        writer.publish("k/1", b"once", 2)
        reader.receive("k/1", b"once", qos=1)
        reader.nothing()
    for number in range(3):
        writer.publish("k/%d" % number, b"", 1, retain=True)


def wills(tap, scene):
    watcher = scene.client()
    watcher.subscribe("w/#", 2)

    def ends(end, will=m.Will("w/t", b"gone", 1), **more):
        client = scene.client(will=will, **more)
        end(client)
        return client

    with tap.case("[MQTT3-3.1.2-8] it is published when the connection is lost"):
        ends(lambda client: client.cut())
        watcher.receive("w/t", b"gone", qos=1, retain=False)
    with tap.case("[MQTT3-3.1.2-8] and when the client breaks the protocol"):
        client = ends(lambda client: client.send(m.pingresp()))
        watcher.receive("w/t", b"gone")
        client.closed()
    with tap.case("[MQTT3-3.1.2-8] and when another takes over"):
        name = scene.name()
        scene.client(name, will=m.Will("w/t", b"taken"))
        newer = scene.client(name)
        watcher.receive("w/t", b"taken", qos=0)
        newer.end()
    with tap.case(
        "[MQTT3-3.14.4-3] [MQTT3-3.1.2-10] it is not published after DISCONNECT"
    ):
        ends(lambda client: client.end())
        watcher.expect_marker(scene.client(), "w/x")
    with tap.case("[MQTT3-3.1.2-12] without a Will nothing is published"):
        scene.client().cut()
        watcher.expect_marker(scene.client(), "w/x")
    with tap.case("[MQTT3-3.1.2-10] it is published once"):
        ends(lambda client: client.cut(), client_id="once", clean=False)
        watcher.receive("w/t", b"gone")
        scene.client("once").end()
        watcher.expect_marker(scene.client(), "w/x")
    with tap.case("[MQTT3-3.1.2-16] without Will Retain it is not retained"):
        reader = scene.client()
        reader.subscribe("w/t", 1)
        reader.nothing()
    with tap.case("[MQTT3-3.1.2-17] with Will Retain it is"):
        ends(lambda client: client.cut(), m.Will("w/r", b"stays", 2, True))
        watcher.receive("w/r", b"stays", qos=2, retain=False)
        reader.subscribe("w/r", 2)
        reader.receive("w/r", b"stays", qos=2, retain=True)
        scene.client().publish("w/r", b"", 1, retain=True)
        watcher.receive("w/r", b"")


def subscriptions(tap, scene):
    writer = scene.client()
    with tap.case(
        "[MQTT3-3.8.4-1] [MQTT3-3.8.4-2] [MQTT3-3.8.4-4] [MQTT3-3.8.4-5] "
        "[MQTT3-3.9.3-1] [MQTT3-2.3.1-7] one SUBACK, with the identifier, a code a "
        "filter in their order"
    ):
        reader = scene.client()
        reader.send(subscribe(777, ("f/a", 2), ("f/b", 0), ("f/+/c", 1), ("f/a", 1)))
        reader.expect(m.SUBACK, id=777, reasons=[2, 0, 1, 1])
        writer.publish("f/a", b"x", 2)
        reader.receive("f/a", b"x", qos=1)
        reader.nothing()
    with tap.case("[MQTT3-3.9.3-2] what is refused has 0x80"):
        reader.send(subscribe(5, ("l" + "/l" * 5000, 1), ("f/d", 1)))
        reader.expect(m.SUBACK, id=5, reasons=[0x80, 1])
    with tap.case("[MQTT3-3.8.4-6] the QoS is the lower of both"):
        for granted in (0, 1, 2):
            reader.subscribe("low", granted)
            for sent in (0, 1, 2):
                writer.publish("low", b"x", sent)
                reader.receive("low", b"x", qos=min(granted, sent))
    with tap.case(
        "[MQTT3-3.3.5-1] overlapping subscriptions: the highest of their QoS"
    ):
        reader = scene.client()
        for topic_filter, qos in (("o/#", 0), ("o/a", 2), ("o/+", 1)):
            reader.subscribe(topic_filter, qos)
        writer.publish("o/a", b"x", 2)
        reader.receive("o/a", b"x", qos=2)
        reader.nothing()
    with tap.case(
        "[MQTT3-3.10.4-4] [MQTT3-3.10.4-5] [MQTT3-3.10.4-6] UNSUBACK once, "
        "with the identifier, also for what is not there"
    ):
        reader.send(unsubscribe(4321, "o/a", "nowhere", "o/+"))
        packet = reader.expect(m.UNSUBACK, id=4321)
        weir.expect(len(packet.body) == 2, packet.body)
    with tap.case(
        "[MQTT3-3.10.4-1] [MQTT3-3.10.4-2] what is equal letter by letter is gone, "
        "nothing else"
    ):
        reader.unsubscribe("o/A")
        writer.publish("o/a", b"y", 2)
        reader.receive("o/a", b"y", qos=0)
        reader.unsubscribe("o/#")
        writer.publish("o/a", b"z", 2)
        reader.nothing()
    with tap.case("[MQTT3-3.10.4-3] what is on its way is completed after UNSUBSCRIBE"):
        reader.subscribe("u", 2)
        writer.publish("u", b"x", 2)
        message = reader.expect(m.PUBLISH, topic="u", qos=2)
        reader.unsubscribe("u")
        reader.acknowledge(message)
        reader.nothing()
    with tap.case(
        "[MQTT3-3.3.5-2] what may not be published is acknowledged all the same, and "
        "goes nowhere"
    ):
        # To $SYS only the broker itself publishes.
        topic = "$SYS/broker/of-our-own"
        reader = scene.client()
        reader.subscribe(topic, 1)
        reader.subscribe("allowed", 1)
        for qos, last in ((1, m.PUBACK), (2, m.PUBCOMP)):
            answer = writer.publish(topic, b"fake", qos, retain=True)
            weir.expect(answer.kind == last, answer)
        reader.expect_marker(writer, "allowed", 1)
        later = scene.client()
        later.subscribe(topic, 1)
        later.nothing()


MATCHES = [
    # filter, topics that it is for, topics that it is not for
    ("m/#", ["m", "m/", "m/a", "m/a/b"], ["mm", "n/m"]),
    ("m/+", ["m/", "m/a"], ["m", "m/a/b"]),
    ("m/+/c", ["m/b/c", "m//c"], ["m/c", "m/b/b/c"]),
    ("+/m2", ["a/m2", "/m2"], ["m2", "a/b/m2"]),
    ("+", ["top"], ["top/", "/top"]),
    ("/m3", ["/m3"], ["m3"]),
    ("M/Case", ["M/Case"], ["m/Case", "M/case"]),
    ("m/ space", ["m/ space"], ["m/space"]),
]


def topics(tap, scene):
    writer = scene.client()
    with tap.case(
        "[MQTT3-4.7.1-2] [MQTT3-4.7.1-3] [MQTT3-3.3.2-3] wildcards match what they "
        "should, and [MQTT3-4.7.3-4] nothing else is alike"
    ):
        for topic_filter, good, bad in MATCHES:
            reader = scene.client()
            reader.subscribe(topic_filter, 0)
            reader.subscribe("marker", 0)
            for topic in good + bad:
                writer.publish(topic, b"x", 1)
            for topic in good:
                reader.receive(topic, b"x")
            reader.expect_marker(writer, "marker")
            reader.end()
    with tap.case("[MQTT3-4.7.3-4] letters that look alike are not normalized"):
        reader = scene.client()
        reader.subscribe("n/\u00e9", 0)
        writer.publish("n/e\u0301", b"x", 1)
        writer.publish("n/\u00e9", b"y", 1)
        reader.receive("n/\u00e9", b"y")
    with tap.case("[MQTT3-4.7.2-1] leading wildcards do not reach $ topics"):
        reader, seen = scene.client(), scene.client()
        for topic_filter in ("#", "+/inner", "+/+", "+"):
            reader.subscribe(topic_filter, 0)
        seen.subscribe("$own/#", 0)
        writer.publish("$own/inner", b"x", 1)
        seen.receive("$own/inner", b"x")
        reader.expect_marker(writer, "any/topic")
    with tap.case("[MQTT3-1.5.3-3] a byte order mark stays where it is"):
        topic = (BOM + b"bom/" + BOM).decode()
        reader = scene.client()
        reader.subscribe(topic, 0)
        writer.publish("bom/", b"x", 1)
        writer.publish(topic, b"y", 1)
        reader.receive(topic, b"y")
    with tap.case("[MQTT3-4.7.3-3] topics of 65,535 bytes"):
        reader = scene.client()
        topic = "t" * LONG
        weir.expect(reader.subscribe(topic, 1) == 1, "refused")
        writer.publish(topic, b"long", 1)
        reader.receive(topic, b"long")
        reader.end()
    with tap.case("[MQTT3-3.8.3-2] filters with wildcards are supported"):
        weir.expect(scene.client().subscribe("+/#", 1) == 1, "refused")


def order_of_answers(tap, scene):
    """What binds the client, shown of the broker, which is one to its readers."""
    with tap.case(
        "[MQTT3-4.6.0-2] [MQTT3-4.6.0-3] [MQTT3-4.6.0-4] answers come in the order "
        "of what they answer"
    ):
        writer = scene.client()
        writer.send(
            *(publish("x", b"x", 1 + number % 2, number) for number in range(1, 41))
        )
        for number in range(1, 41):
            writer.expect(m.PUBREC if number % 2 else m.PUBACK, id=number)
        writer.send(*(m.pubrel(number) for number in range(1, 41, 2)))
        for number in range(1, 41, 2):
            writer.expect(m.PUBCOMP, id=number)
        reader = scene.client()
        reader.subscribe("y", 2)
        for number in range(5):
            writer.publish("y", b"%d" % number, 2)
        messages = [reader.expect(m.PUBLISH, payload=b"%d" % n) for n in range(5)]
        reader.send(*(m.pubrec(message.id) for message in messages))
        for message in messages:
            reader.expect(m.PUBREL, id=message.id)


def transports(tap, scene):
    with tap.case(
        "[MQTT3-7.1.1-1] [MQTT3-7.0.0-2] TCP: packets in pieces of a byte, "
        "and many at once"
    ):
        client = scene.silent()
        data = connect(scene.name()) + subscribe(1, ("p", 1))
        data += publish("p", b"piece" * 50, 1, 2) + m.pingreq()
        for at in range(len(data)):
            client.send(data[at : at + 1])
        client.expect(m.CONNACK, reason=0)
        client.expect(m.SUBACK, id=1)
        left = [m.PUBACK, m.PINGRESP, m.PUBLISH]
        for _ in range(3):
            left.remove(client.read().kind)
        client.send(*[publish("p", b"%d" % n, 0) for n in range(500)])
        for number in range(500):
            client.expect(m.PUBLISH, payload=b"%d" % number)


def keep_alive(tap, idle, started):
    """`idle` was connected with a Keep Alive of 1 s when the file began."""
    with tap.case(
        "[MQTT3-3.1.2-24] silence of one and a half Keep Alive is the end, and "
        "[MQTT3-3.1.2-8] of a lost connection: the Will is published"
    ):
        client, watcher = idle
        watcher.receive("idle/t", b"slept", timeout=10)
        weir.expect(time.monotonic() - started >= 1.5, "too early")
        client.closed()


def begin_idle(scene):
    watcher = scene.client()
    watcher.subscribe("idle/t", 0)
    started = time.monotonic()
    client = scene.client(keep_alive=1, will=m.Will("idle/t", b"slept"))
    return (client, watcher), started


def main():
    tap = weir.Tap(120)
    durability = os.environ.get("WEIR_DURABILITY", "process")
    workers = int(os.environ.get("WEIR_WORKERS", "2"))
    with tap.case("the suite ends in order"), weir.Weir(
        http=None, workers=workers, durability=durability
    ) as suite:
        scene = Scene(suite)
        idle, started = begin_idle(scene)
        for group in (
            refusals,
            refused_with_a_code,
            connections,
            sessions,
            again,
            qualities,
            retained,
            wills,
            subscriptions,
            topics,
            order_of_answers,
            transports,
        ):
            tap.attempt(group, scene)
        keep_alive(tap, idle, started)
        scene.close()
    tap.done()


if __name__ == "__main__":
    main()
