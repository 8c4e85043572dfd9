#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""MQTT 5.0: PUBLISH, its acknowledgements, properties, aliases, retained."""

import time

import mqtt_raw as m
import weir
from cases import Cases, fresh
from mqtt_raw import Client

KEEP = {"session_expiry_interval": 600}
PROPERTIES = {
    "payload_format_indicator": 1,
    "content_type": "text/käse",
    "response_topic": "answer/to/é",
    "correlation_data": bytes(range(256)),
    "user_property": [("z", "1"), ("a", "2"), ("z", "1"), ("", ""), ("A", "ü")],
}

case = Cases()


class Pair:
    """A sender, and a receiver that subscribed to one topic."""

    def __init__(self, run, byte=2, props=None, **how):
        self.topic = fresh("t")
        self.sender = Client(run.port, fresh("s"))
        self.name = fresh("r")
        self.receiver = Client(run.port, self.name, props=props, **how)
        self.receiver.subscribe(self.topic, byte)

    def nothing_came(self, qos=1):
        self.receiver.expect_marker(self.sender, self.topic, qos)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sender.cut()
        self.receiver.cut()


# ----------------------------------------------------------- delivery


@case(
    "QoS 0: no answer, no identifier, no DUP [MQTT-3.3.4-1] [MQTT-4.3.1-1] "
    "[MQTT-2.2.1-2]"
)
def _(run):
    with Pair(run) as pair:
        # Were there an identifier, the payload would begin two bytes later.
        pair.sender.publish(pair.topic, b"\0\1xy")
        pair.receiver.receive(pair.topic, b"\0\1xy", qos=0, dup=False, id=0)
        pair.sender.nothing()


@case(
    "QoS 1: PUBACK under the identifier of the PUBLISH "
    "[MQTT-3.3.4-1] [MQTT-4.3.2-4] [MQTT-2.2.1-5] [MQTT-3.4.2-1]"
)
def _(run):
    with Pair(run) as pair:
        for number in (1, 300, 65535):
            pair.sender.send(m.publish(pair.topic, b"x", 1, number))
            pair.sender.expect(m.PUBACK, id=number, reason=0)
            pair.receiver.receive(pair.topic, b"x", qos=1, dup=False)
        pair.sender.nothing()


@case(
    "QoS 2: PUBREC, PUBREL, PUBCOMP under the identifier of the PUBLISH "
    "[MQTT-3.3.4-1] [MQTT-4.3.3-8] [MQTT-4.3.3-11] [MQTT-2.2.1-5] [MQTT-3.5.2-1] "
    "[MQTT-3.7.2-1]"
)
def _(run):
    with Pair(run) as pair:
        for number in (1, 300, 65535):
            pair.sender.send(m.publish(pair.topic, b"x", 2, number))
            pair.sender.expect(m.PUBREC, id=number, reason=0)
            pair.sender.send(m.pubrel(number))
            pair.sender.expect(m.PUBCOMP, id=number, reason=0)
            pair.receiver.receive(pair.topic, b"x", qos=2, dup=False)
        pair.sender.nothing()


@case("what nobody receives is accepted, by 0x10 [MQTT-3.4.2-1] [MQTT-3.5.2-1]")
def _(run):
    with Client(run.port, fresh()) as sender:
        sender.send(m.publish(fresh("t"), b"x", 1, 5), m.publish(fresh("t"), b"x", 2, 6))
        sender.expect(m.PUBACK, id=5, reason=0x10)
        sender.expect(m.PUBREC, id=6, reason=0x10)
        sender.send(m.pubrel(6))
        sender.expect(m.PUBCOMP, id=6, reason=0)


@case("after PUBACK the identifier means a new message, DUP or not [MQTT-4.3.2-5]")
def _(run):
    with Pair(run) as pair:
        for dup in (False, True):
            pair.sender.send(m.publish(pair.topic, b"%d" % dup, 1, 7, dup=dup))
            pair.sender.expect(m.PUBACK, id=7)
            pair.receiver.receive(pair.topic, b"%d" % dup)


@case("before PUBREL the same PUBLISH is answered, not delivered again [MQTT-4.3.3-10]")
def _(run):
    with Pair(run) as pair:
        for dup in (False, True, True):
            pair.sender.send(m.publish(pair.topic, b"once", 2, 7, dup=dup))
            pair.sender.expect(m.PUBREC, id=7, reason=0)
        pair.sender.send(m.pubrel(7))
        pair.sender.expect(m.PUBCOMP, id=7, reason=0)
        pair.receiver.receive(pair.topic, b"once", qos=2)
        pair.nothing_came()


@case("after PUBCOMP the identifier means a new message [MQTT-4.3.3-12]")
def _(run):
    with Pair(run) as pair:
        for payload in (b"one", b"two"):
            pair.sender.send(m.publish(pair.topic, payload, 2, 7))
            pair.sender.expect(m.PUBREC, id=7, reason=0)
            pair.sender.send(m.pubrel(7))
            pair.sender.expect(m.PUBCOMP, id=7, reason=0)
            pair.receiver.receive(pair.topic, payload)


@case("after a refusing PUBREC the identifier means a new message [MQTT-4.3.3-9]")
def _(run):
    with Pair(run) as pair:
        pair.sender.send(m.publish("$SYS/mine", b"x", 2, 7))
        pair.sender.expect(m.PUBREC, id=7, reason=0x87)
        pair.sender.send(m.publish(pair.topic, b"new", 2, 7))
        pair.sender.expect(m.PUBREC, id=7, reason=0)
        pair.sender.send(m.pubrel(7))
        pair.sender.expect(m.PUBCOMP, id=7, reason=0)
        pair.receiver.receive(pair.topic, b"new")


@case("PUBREL of what is not known is answered 0x92 [MQTT-4.3.3-11] [MQTT-3.7.2-1]")
def _(run):
    with Client(run.port, fresh()) as client:
        client.send(m.pubrel(77))
        client.expect(m.PUBCOMP, id=77, reason=0x92)


@case("PUBREC of what is not known is answered PUBREL 0x92 [MQTT-3.6.2-1]")
def _(run):
    with Client(run.port, fresh()) as client:
        client.send(m.pubrec(77), m.puback(78), m.pubcomp(79))
        client.expect(m.PUBREL, id=77, reason=0x92)
        client.nothing()


@case("the identifier is kept through QoS 2 towards a receiver [MQTT-4.3.3-4]")
def _(run):
    with Pair(run) as pair:
        pair.sender.publish(pair.topic, b"x", 2)
        got = pair.receiver.expect(m.PUBLISH, qos=2, dup=False)
        # 0x10 is below 0x80 as well.
        pair.receiver.send(m.pubrec(got.id, 0x10))
        pair.receiver.expect(m.PUBREL, id=got.id, reason=0)
        # Once more, as if it had been lost.
        pair.receiver.send(m.pubrec(got.id))
        pair.receiver.expect(m.PUBREL, id=got.id)
        pair.receiver.send(m.pubcomp(got.id))
        pair.receiver.nothing()


@case("DUP of a PUBLISH is not passed on [MQTT-3.3.1-3] [MQTT-3.3.1-2]")
def _(run):
    with Pair(run) as pair, Client(run.port, fresh()) as zero:
        zero.subscribe(pair.topic, 0)
        for qos in (1, 2):
            pair.sender.send(m.publish(pair.topic, b"x", qos, 7, dup=True))
            pair.sender.expect(m.PUBACK if qos == 1 else m.PUBREC, id=7)
            pair.receiver.receive(pair.topic, b"x", qos=qos, dup=False)
            zero.receive(pair.topic, b"x", qos=0, dup=False)


@case("QoS 1 and 2 of the server have identifiers that are not in use [MQTT-2.2.1-4]")
def _(run):
    with Pair(run, props={"receive_maximum": 60}) as pair:
        for number in range(60):
            pair.sender.publish(pair.topic, b"%d" % number, 1 + number % 2)
        got = [pair.receiver.expect(m.PUBLISH) for _ in range(60)]
        weir.expect(len({p.id for p in got}) == 60, "one was used twice")
        weir.expect(all(p.id and not p.dup for p in got), "0 or DUP")
        # Those that are done with may be used again, others may not.
        for packet in got[:20]:
            pair.receiver.acknowledge(packet)
        left = {p.id for p in got[20:]}
        for number in range(20):
            pair.sender.publish(pair.topic, b"x", 1)
            packet = pair.receiver.expect(m.PUBLISH, qos=1)
            weir.expect(packet.id not in left, "%d is in use" % packet.id)
            left.add(packet.id)


@case(
    "a new message is sent with DUP 0 [MQTT-4.3.2-2] [MQTT-4.3.3-2] [MQTT-4.3.2-1] "
    "[MQTT-4.3.3-1]"
)
def _(run):
    with Pair(run) as pair:
        ids = []
        for qos in (1, 2, 1, 2):
            pair.sender.publish(pair.topic, b"x", qos)
            ids.append(pair.receiver.expect(m.PUBLISH, qos=qos, dup=False).id)
        weir.expect(len(set(ids)) == 4, ids)


@case(
    "messages of one client to one topic keep their order [MQTT-4.6.0-5] "
    "[MQTT-4.6.0-6]"
)
def _(run):
    props = {"receive_maximum": 200}
    with Pair(run, props=props) as pair, Client(run.port, fresh()) as zero:
        zero.subscribe("+/order/" + pair.topic, 0)
        pair.receiver.subscribe(pair.topic + "/order/+", 2)
        for qos in (0, 1, 2):
            topic = pair.topic + "/order/" + pair.topic
            numbers = range(50)
            # In one piece; PUBREL come behind all of them.
            pair.sender.send(
                *(m.publish(topic, b"%d" % n, qos, n + 1 if qos else None) for n in numbers)
            )
            for number in numbers:
                pair.receiver.expect(m.PUBLISH, payload=b"%d" % number, qos=qos)
                zero.receive(topic, b"%d" % number, qos=0)
            for number in numbers if qos else ():
                kind = m.PUBACK if qos == 1 else m.PUBREC
                pair.sender.expect(kind, id=number + 1)
            if qos == 2:
                pair.sender.send(*(m.pubrel(n + 1) for n in numbers))
                for number in numbers:
                    pair.sender.expect(m.PUBCOMP, id=number + 1)


# ----------------------------------------------------- topics and strings


@case(
    "a topic name comes as it was published, and matches [MQTT-3.3.2-3] [MQTT-3.3.2-1]"
)
def _(run):
    stem = fresh("t")
    with Client(run.port, fresh()) as sender, Client(run.port, fresh()) as receiver:
        receiver.subscribe(stem + "/+/x/#", 0)
        for tail, matches in (
            ("/a/x", True),
            ("/a/y", False),
            ("/a/x/b/c", True),
            ("//x/", True),
            ("/a/X", False),
            ("/a/b/x", False),
            ("/é x/x/ÿ", True),
        ):
            sender.publish(stem + tail, b"", 1)
            if matches:
                receiver.receive(stem + tail)
        receiver.nothing()


@case("nothing is normalized or replaced when topics are matched [MQTT-4.7.3-4]")
def _(run):
    stem = fresh("t")
    names = ["é", "e\u0301", "É", "a b", "ab", "a\u00a0b", "/a", "a/", "//a", "\ufffd", "\u2028"]
    with Client(run.port, fresh()) as sender:
        receivers = []
        for name in names:
            receiver = Client(run.port, fresh())
            receiver.subscribe(stem + name, 0)
            receivers.append(receiver)
        for name in names:
            sender.publish(stem + name, name.encode(), 1)
        for name, receiver in zip(names, receivers):
            receiver.receive(stem + name, name)
            receiver.nothing()
            receiver.cut()


@case("a byte order mark is kept in topic names and user properties [MQTT-1.5.4-3]")
def _(run):
    name = fresh("t")
    marked = "\ufeff" + name + "\ufeff"
    with Client(run.port, fresh()) as sender, Client(run.port, fresh()) as receiver:
        receiver.subscribe(name, 0)
        receiver.subscribe(marked, 0)
        props = {"user_property": [("\ufeff", "\ufeffx")]}
        sender.publish(marked, b"marked", 1, props=props)
        receiver.receive(marked, b"marked", props=props)
        sender.publish(name, b"plain", 1)
        receiver.receive(name, b"plain")
        receiver.nothing()


@case("topic names and filters of 65,535 bytes work [MQTT-4.7.3-3]")
def _(run):
    name = fresh("t")
    name += "x" * (65535 - len(name))
    with Client(run.port, fresh()) as sender, Client(run.port, fresh()) as receiver:
        weir.expect(receiver.subscribe(name, 1) == 1, "refused")
        sender.publish(name, b"long", 1)
        receiver.receive(name, b"long")


@case("a filter that begins with a wildcard does not match $ topics [MQTT-4.7.2-1]")
def _(run):
    name = fresh("t")
    with Client(run.port, fresh()) as sender, Client(run.port, fresh()) as receiver:
        for topic_filter in ("#", "+/" + name, "+/#"):
            receiver.subscribe(topic_filter, 0)
        with Client(run.port, fresh()) as other:
            other.subscribe("$" + name + "/#", 0)
            sender.publish("$" + name + "/" + name, b"x", 1)
            other.receive("$" + name + "/" + name, b"x")
        receiver.expect_marker(sender, "a/" + name, 1)


# ---------------------------------------------------------- properties


@case(
    "properties are forwarded unaltered, user properties in their order "
    "[MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] "
    "[MQTT-3.3.2-18] [MQTT-3.3.2-20]"
)
def _(run):
    with Pair(run) as pair:
        others = [Client(run.port, fresh()) for _ in (0, 1)]
        for qos, other in enumerate(others):
            other.subscribe(pair.topic, qos)
        for qos in (0, 1, 2):
            for given in (PROPERTIES, {}, {"payload_format_indicator": 0}):
                pair.sender.publish(pair.topic, b"x", qos, props=given)
                for receiver in [pair.receiver] + others:
                    got = receiver.receive(pair.topic, b"x").props
                    weir.expect(got == given, (got, given))
        for other in others:
            other.cut()


@case(
    "a thousand user properties arrive in their order [MQTT-3.3.2-18] [MQTT-3.3.2-17]"
)
def _(run):
    given = {"user_property": [("n%d" % (n % 7), "%d" % n) for n in range(1000)]}
    with Pair(run) as pair:
        pair.sender.publish(pair.topic, b"x", 1, props=given)
        pair.receiver.receive(pair.topic, b"x", props=given)


@case("properties wait with the message for a session, and are kept with retained ones")
def _(run):
    with Pair(run, byte=1, props=KEEP) as pair:
        pair.receiver.send(m.disconnect())
        pair.receiver.closed()
        pair.sender.publish(pair.topic, b"x", 1, retain=True, props=PROPERTIES)
        with Client(run.port, pair.name, clean=False, props=KEEP) as receiver:
            receiver.receive(pair.topic, b"x", props=PROPERTIES)
            receiver.subscribe(pair.topic, 1)
            receiver.receive(pair.topic, b"x", retain=True, props=PROPERTIES)
        pair.sender.publish(pair.topic, b"", 1, retain=True)


@case(
    "without Request Problem Information acknowledgements have no reason string "
    "[MQTT-3.1.2-29]"
)
def _(run):
    props = {"request_problem_information": 0}
    with Client(run.port, fresh(), props=props) as client:
        refused = [
            client.publish("$SYS/mine", b"x", 1),
            client.publish("$SYS/mine", b"x", 2),
            client.unsubscribe(fresh("t")),
        ]
        client.send(
            m.pubrel(77),
            m.pubrec(78),
            m.subscribe(79, ("/" * 300, 0), (fresh("t"), 1)),
        )
        refused += [client.read() for _ in range(3)]
        for packet in refused:
            reasons = getattr(packet, "reasons", [getattr(packet, "reason", 0)])
            weir.expect(max(reasons) != 0, packet)
            for name in ("reason_string", "user_property"):
                weir.expect(name not in packet.props, packet)


@case(
    "acknowledgements stay within a small Maximum Packet Size "
    "[MQTT-3.4.2-2] [MQTT-3.4.2-3] [MQTT-3.5.2-2] [MQTT-3.5.2-3] [MQTT-3.6.2-2] "
    "[MQTT-3.6.2-3] [MQTT-3.7.2-2] [MQTT-3.7.2-3] [MQTT-3.9.2-1] [MQTT-3.9.2-2] "
    "[MQTT-3.11.2-1] [MQTT-3.11.2-2] [MQTT-3.14.2-3] [MQTT-3.14.2-4]"
)
def _(run):
    size = 24
    with Client(run.port, fresh(), props={"maximum_packet_size": size}) as client:
        got = [
            client.publish("$SYS/mine", b"x", 1),
            client.publish("$SYS/mine", b"x", 2),
            client.publish(fresh("t"), b"x", 2),
            client.unsubscribe(fresh("t")),
        ]
        client.send(m.pubrel(77), m.pubrec(78), m.subscribe(79, ("/" * 300, 0)))
        got += [client.read() for _ in range(3)]
        client.send(m.subscribe(1))
        got.append(client.closed(0x82))
        for packet in got:
            weir.expect(2 + len(packet.body) <= size, packet)


# ------------------------------------------------------------- aliases


@case("every topic alias up to the server's maximum is taken [MQTT-3.3.2-12]")
def _(run):
    with Pair(run) as pair:
        maximum = pair.sender.connack.props["topic_alias_maximum"]
        aliases = sorted({1, 2, maximum // 2, maximum - 1, maximum})
        stem = pair.topic
        pair.receiver.subscribe(stem + "/#", 1)
        for alias in aliases:
            topic = "%s/%d" % (stem, alias)
            pair.sender.publish(topic, b"named", 1, props={"topic_alias": alias})
            pair.receiver.receive(topic, b"named", props={})
        for alias in reversed(aliases):
            topic = "%s/%d" % (stem, alias)
            pair.sender.publish("", b"by alias", 1, props={"topic_alias": alias})
            pair.receiver.receive(topic, b"by alias", props={})
        # The alias may be given to another topic.
        pair.sender.publish(stem + "/new", b"1", 1, props={"topic_alias": 1})
        pair.receiver.receive(stem + "/new", b"1")
        pair.sender.publish("", b"2", 1, props={"topic_alias": 1})
        pair.receiver.receive(stem + "/new", b"2")


@case("topic aliases end with their connection [MQTT-3.3.2-7]")
def _(run):
    name, alias = fresh(), {"topic_alias": 1}
    with Client(run.port, name, props=KEEP) as client:
        client.publish(fresh("t"), b"x", 1, props=alias)
        client.send(m.disconnect())
        client.closed()
    with Client(run.port, name, clean=False, props=KEEP) as client:
        weir.expect(client.connack.session_present, "no session")
        client.send(m.publish("", b"x", 1, 1, props=alias))
        client.closed(0x82)


@case("no topic alias to a client that allows none [MQTT-3.1.2-27]")
def _(run):
    for props in (None, {"topic_alias_maximum": 0}):
        with Pair(run, props=props) as pair:
            for number in range(20):
                pair.sender.publish(pair.topic, b"%d" % number, number % 3)
                got = pair.receiver.receive(pair.topic, b"%d" % number)
                weir.expect("topic_alias" not in got.props, got)


@case(
    "no topic alias above the client's maximum, and each names one topic "
    "[MQTT-3.1.2-26] [MQTT-3.3.2-11] [MQTT-3.3.2-8]"
)
def _(run):
    with Pair(run, props={"topic_alias_maximum": 2}) as pair:
        pair.receiver.subscribe(pair.topic + "/+", 1)
        names = {}
        for number in range(40):
            topic = "%s/%d" % (pair.topic, number % 4)
            pair.sender.publish(topic, b"%d" % number, number % 2)
            got = pair.receiver.expect(m.PUBLISH, payload=b"%d" % number)
            alias = got.props.get("topic_alias")
            if alias is not None:
                weir.expect(1 <= alias <= 2, "alias %d" % alias)
                if got.topic:
                    names[alias] = got.topic
            named = got.topic or names.get(alias)
            weir.expect(named == topic, "%r, not %s" % (named, topic))
            pair.receiver.acknowledge(got)


# ------------------------------------------------------------ retained


def kept(run, topic, byte=0):
    """What a new subscriber gets as retained: {topic: payload}."""
    got = {}
    with Client(run.port, fresh()) as client:
        client.subscribe(topic, byte)
        client.send(m.pingreq())
        while True:
            packet = client.read()
            if packet.kind == m.PINGRESP:
                return got
            weir.expect(packet.retain, packet)
            weir.expect(packet.topic not in got, packet.topic + " twice")
            got[packet.topic] = packet.payload


@case("a retained message replaces the topic's last one [MQTT-3.3.1-5]")
def _(run):
    topic = fresh("t")
    with Client(run.port, fresh()) as sender:
        for qos in (0, 1, 2, 0):
            sender.publish(topic, b"of %d" % qos, qos, retain=True)
            sender.nothing()
            weir.expect(kept(run, topic, 2) == {topic: b"of %d" % qos}, qos)
        sender.publish(topic, b"", 1, retain=True)


@case("the QoS of a retained message is kept with it [MQTT-3.3.1-5] [MQTT-3.8.4-8]")
def _(run):
    topic = fresh("t")
    with Client(run.port, fresh()) as sender:
        for published in (0, 1, 2):
            sender.publish(topic, b"x", published, retain=True)
            sender.nothing()
            for granted in (0, 1, 2):
                with Client(run.port, fresh()) as client:
                    client.subscribe(topic, granted)
                    want = min(published, granted)
                    client.receive(topic, b"x", qos=want, retain=True, dup=False)
        sender.publish(topic, b"", 1, retain=True)


@case(
    "an empty retained message is delivered, and removes [MQTT-3.3.1-6] [MQTT-3.3.1-7]"
)
def _(run):
    with Pair(run) as pair:
        pair.sender.publish(pair.topic, b"x", 1, retain=True)
        pair.receiver.receive(pair.topic, b"x", retain=False)
        pair.sender.publish(pair.topic, b"", 1, retain=True)
        pair.receiver.receive(pair.topic, b"", retain=False)
        weir.expect(kept(run, pair.topic) == {}, "it is still there")


@case("without RETAIN nothing is stored, replaced or removed [MQTT-3.3.1-8]")
def _(run):
    topic = fresh("t")
    with Client(run.port, fresh()) as sender:
        sender.publish(topic, b"x", 1)
        weir.expect(kept(run, topic) == {}, "it was stored")
        sender.publish(topic, b"kept", 1, retain=True)
        for payload in (b"other", b""):
            sender.publish(topic, payload, 1)
            weir.expect(kept(run, topic) == {topic: b"kept"}, payload)
        sender.publish(topic, b"", 1, retain=True)
        weir.expect(kept(run, topic) == {}, "it was not removed")


@case("retained messages of all topics that match are sent [MQTT-3.3.1-9]")
def _(run):
    stem = fresh("t")
    topics = ["%s/%d" % (stem, n) for n in range(300)]
    with Client(run.port, fresh()) as sender:
        for number, topic in enumerate(topics):
            sender.publish(topic, b"%d" % number, number % 2, retain=True)
        sender.nothing()
        got = {}
        with Client(run.port, fresh()) as client:
            client.subscribe(stem + "/+", 1)
            for _ in topics:
                packet = client.acknowledge(client.expect(m.PUBLISH, retain=True))
                got[packet.topic] = packet.payload
            client.nothing()
        want = {topic: b"%d" % n for n, topic in enumerate(topics)}
        weir.expect(got == want, "%d of 300" % len(got))
        for topic in topics:
            sender.publish(topic, b"", 0, retain=True)
        sender.nothing()


# -------------------------------------------------------------- expiry


def late(tap, run):
    """What waits a second, together."""
    second, hour = {"message_expiry_interval": 1}, {"message_expiry_interval": 3600}
    topic, begun = fresh("t"), fresh("t")
    names = {"away": fresh(), "begun": fresh()}
    sender = Client(run.port, fresh())
    away = Client(run.port, names["away"], props=KEEP)
    away.subscribe(topic, 1)
    away.send(m.disconnect())
    away.closed()
    sender.publish(topic, b"short", 1, props=second)
    sender.publish(topic, b"long", 1, props=hour)
    sender.publish(topic, b"short kept", 1, props=second, retain=True)
    waiting = time.monotonic()

    receiver = Client(run.port, names["begun"], props=KEEP)
    receiver.subscribe(begun, 2)
    sender.send(m.publish(begun, b"begun", 2, 900, props=second))
    sender.expect(m.PUBREC, id=900, reason=0)
    first = receiver.expect(m.PUBLISH, payload=b"begun", qos=2)

    while time.monotonic() < waiting + 1.2:
        time.sleep(0.05)
    passed = time.monotonic() - waiting
    with tap.case(
        "what has expired is not delivered, nor kept as retained [MQTT-3.3.2-5]"
    ):
        weir.expect(kept(run, topic) == {}, "retained")
    with tap.case("what is delivered says what is left of its expiry [MQTT-3.3.2-6]"):
        with Client(run.port, names["away"], clean=False, props=KEEP) as away:
            got = away.receive(topic, b"long")
            left = got.props["message_expiry_interval"]
            weir.expect(3600 - passed - 2 <= left <= 3600 - 1, "%d s left" % left)
            away.nothing()
    with tap.case(
        "QoS 2 of the publisher is completed after the expiry [MQTT-4.3.3-13]"
    ):
        sender.send(m.publish(begun, b"begun", 2, 900, dup=True, props=second))
        sender.expect(m.PUBREC, id=900, reason=0)
        sender.send(m.pubrel(900))
        sender.expect(m.PUBCOMP, id=900, reason=0)
    with tap.case("QoS 2 that was begun is completed after the expiry [MQTT-4.3.3-7]"):
        receiver.cut()
        with Client(run.port, names["begun"], clean=False, props=KEEP) as receiver:
            again = receiver.expect(m.PUBLISH, payload=b"begun", dup=True)
            weir.expect(again.id == first.id, "another identifier")
            receiver.send(m.pubrec(again.id))
            receiver.expect(m.PUBREL, id=first.id)
            receiver.send(m.pubcomp(first.id))
            receiver.nothing()
    sender.cut()


def main():
    tap = weir.Tap()
    how = {"durability": "process", "max_user_properties": 1000}
    with weir.Weir(http=None, accounts=None, **how) as run:
        case.run(tap, run)
        late(tap, run)
    tap.done()


if __name__ == "__main__":
    main()
