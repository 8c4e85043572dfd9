#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""MQTT 5.0: packets that are wrong, each with its reason code and the end.

One broker for all of them; another client is served after each.
"""

import mqtt_raw as m
import weir
from cases import Cases, fresh
from mqtt_raw import one_property as prop
from mqtt_raw import raw, string

MALFORMED, PROTOCOL, FILTER, NAME = 0x81, 0x82, 0x8F, 0x90
ALIAS, TOO_LARGE = 0x94, 0x95
SIZE = 64 << 10  # max_packet_size
SURROGATE = b"\xed\xa0\x80"
OVERLONG = b"\xc0\xaf"


def pub(topic="a", props=None, **more):
    return m.publish(topic, b"x", props=props, **more)


def sub(topic_filter, byte=0, props=None):
    return m.subscribe(1, (topic_filter, byte), props=props)


def with_props(data):
    """A PUBLISH with these bytes as properties."""
    return pub(props=data)


# name, what is sent, the reason in DISCONNECT
CONNECTED = [
    # fixed header
    ("packet type 0", raw(0x00), MALFORMED),
    ("[MQTT-2.1.3-1] PUBACK with flags", raw(0x41, b"\0\1"), MALFORMED),
    ("[MQTT-2.1.3-1] PUBREC with flags", raw(0x58, b"\0\1"), MALFORMED),
    ("[MQTT-3.6.1-1] PUBREL with flags 0", raw(0x60, b"\0\1"), MALFORMED),
    ("[MQTT-3.6.1-1] PUBREL with flags 3", raw(0x63, b"\0\1"), MALFORMED),
    ("[MQTT-2.1.3-1] PUBCOMP with flags", raw(0x74, b"\0\1"), MALFORMED),
    ("[MQTT-3.8.1-1] SUBSCRIBE with flags 0", raw(0x80, sub("a")[2:]), MALFORMED),
    ("[MQTT-3.8.1-1] SUBSCRIBE with flags 10", raw(0x8A, sub("a")[2:]), MALFORMED),
    ("[MQTT-3.10.1-1] UNSUBSCRIBE with flags 0", raw(0xA0, b"\0\1\0\0\1a"), MALFORMED),
    ("[MQTT-2.1.3-1] PINGREQ with flags", raw(0xC1), MALFORMED),
    ("[MQTT-3.14.1-1] DISCONNECT with flags", raw(0xE1), MALFORMED),
    ("[MQTT-3.15.1-1] AUTH with flags", raw(0xF2), MALFORMED),
    (
        "[MQTT-1.5.5-1] a Remaining Length longer than need be",
        b"\x30" + m.varint(4, 2) + string("a") + b"\0",
        MALFORMED,
    ),
    ("a Remaining Length of five bytes", b"\x30\x80\x80\x80\x80\1", MALFORMED),
    # packets that are not expected
    ("[MQTT-3.1.0-2] a second CONNECT", m.connect("again"), PROTOCOL),
    ("CONNACK from a client", m.connack(), PROTOCOL),
    ("SUBACK from a client", m.suback(1, 0), PROTOCOL),
    ("UNSUBACK from a client", m.unsuback(1, 0), PROTOCOL),
    ("PINGRESP from a client", m.pingresp(), PROTOCOL),
    (
        "[MQTT-4.12.0-7] AUTH without a method in CONNECT",
        m.auth(0x18, {"authentication_method": "M"}),
        PROTOCOL,
    ),
    # PUBLISH
    ("[MQTT-3.3.1-4] QoS 3", pub(qos=3, id=1), MALFORMED),
    ("[MQTT-3.3.1-2] DUP with QoS 0", pub(dup=True), MALFORMED),
    ("[MQTT-2.2.1-3] PUBLISH with packet identifier 0", pub(qos=1, id=0), PROTOCOL),
    ("[MQTT-3.3.2-1] a topic name that is no UTF-8", pub(b"\xff"), MALFORMED),
    ("[MQTT-3.3.2-1] PUBLISH without a topic name", raw(0x30), MALFORMED),
    ("[MQTT-1.5.4-1] a surrogate in a topic name", pub(SURROGATE), MALFORMED),
    ("[MQTT-1.5.4-1] an overlong character", pub(OVERLONG), MALFORMED),
    ("[MQTT-1.5.4-2] [MQTT-4.7.3-2] U+0000 in a topic name", pub("a\0b"), MALFORMED),
    ("[MQTT-3.3.2-2] [MQTT-4.7.0-1] + in a topic name", pub("a/+"), NAME),
    ("[MQTT-3.3.2-2] [MQTT-4.7.0-1] a topic name #", pub("#"), NAME),
    ("[MQTT-4.7.3-1] an empty topic name without alias", pub(""), PROTOCOL),
    (
        "[MQTT-3.3.4-6] a Subscription Identifier from a client",
        pub(props={"subscription_identifier": 1}),
        PROTOCOL,
    ),
    ("[MQTT-3.3.2-8] topic alias 0", pub(props={"topic_alias": 0}), ALIAS),
    ("an alias that names nothing", pub("", props={"topic_alias": 3}), PROTOCOL),
    (
        "[MQTT-3.3.2-13] a Response Topic that is no UTF-8",
        pub(props={"response_topic": b"\xff"}),
        MALFORMED,
    ),
    (
        "[MQTT-3.3.2-14] a Response Topic with wildcards",
        pub(props={"response_topic": "a/+"}),
        PROTOCOL,
    ),
    (
        "[MQTT-3.3.2-19] a Content Type that is no UTF-8",
        pub(props={"content_type": b"\xff"}),
        MALFORMED,
    ),
    (
        "[MQTT-1.5.7-1] a user property whose name is no UTF-8",
        pub(props={"user_property": [(b"\xff", "v")]}),
        MALFORMED,
    ),
    (
        "[MQTT-1.5.7-1] a user property whose value has U+0000",
        pub(props={"user_property": [("n", "\0")]}),
        MALFORMED,
    ),
    ("[MQTT-2.2.2-1] PUBLISH without a Property Length", raw(0x30, b"\0\1a"), MALFORMED),
    ("Payload Format Indicator 2", with_props(b"\1\2"), PROTOCOL),
    ("an unknown property", with_props(b"\x7f\0"), MALFORMED),
    ("a property twice", with_props(prop("content_type", "a") * 2), PROTOCOL),
    ("a property of CONNECT", with_props(prop("receive_maximum", 9)), PROTOCOL),
    ("a property that is cut", with_props(b"\2\0\0"), MALFORMED),
    ("properties longer than the packet", raw(0x30, b"\0\1a\x09\1\0"), MALFORMED),
    ("a Property Length longer than need be", raw(0x30, b"\0\1a\x80\0"), MALFORMED),
    # acknowledgements
    ("[MQTT-3.4.2-1] PUBACK with a reason of PUBREL", m.puback(1, 0x92), PROTOCOL),
    ("[MQTT-3.5.2-1] PUBREC with a reason of PUBREL", m.pubrec(1, 0x92), PROTOCOL),
    ("[MQTT-3.6.2-1] PUBREL with a reason of PUBREC", m.pubrel(1, 0x10), PROTOCOL),
    ("[MQTT-3.7.2-1] PUBCOMP with a reason of PUBREC", m.pubcomp(1, 0x80), PROTOCOL),
    ("PUBACK with packet identifier 0", m.puback(0), PROTOCOL),
    ("PUBREL with bytes left over", raw(0x62, b"\0\1\0\0z"), MALFORMED),
    ("PUBACK of one byte", raw(0x40, b"\0"), MALFORMED),
    # SUBSCRIBE
    ("[MQTT-3.8.3-2] SUBSCRIBE without a filter", m.subscribe(1), PROTOCOL),
    ("[MQTT-3.8.3-1] a filter that is no UTF-8", sub(b"\xff"), MALFORMED),
    ("[MQTT-4.7.3-2] U+0000 in a filter", sub("a\0"), MALFORMED),
    ("[MQTT-3.8.3-5] reserved bit 6 in the options", sub("a", 0x40), MALFORMED),
    ("[MQTT-3.8.3-5] reserved bit 7 in the options", sub("a", 0x80), MALFORMED),
    ("a filter without options", raw(0x82, b"\0\1\0\0\1a"), MALFORMED),
    ("QoS 3 in the options", sub("a", 3), PROTOCOL),
    ("Retain Handling 3", sub("a", 0x30), PROTOCOL),
    ("[MQTT-3.8.3-4] No Local on a shared filter", sub("$share/g/a", 4), PROTOCOL),
    (
        "Subscription Identifier 0",
        sub("a", 0, {"subscription_identifier": 0}),
        PROTOCOL,
    ),
    (
        "two Subscription Identifiers",
        sub("a", 0, {"subscription_identifier": [1, 2]}),
        PROTOCOL,
    ),
    (
        "[MQTT-2.2.1-3] SUBSCRIBE with packet identifier 0",
        m.subscribe(0, ("a", 0)),
        PROTOCOL,
    ),
    ("[MQTT-4.7.1-1] # within a level", sub("a#"), FILTER),
    ("[MQTT-4.7.1-1] # not at the end", sub("#/a"), FILTER),
    ("[MQTT-4.7.1-2] + behind a character", sub("a+"), FILTER),
    ("[MQTT-4.7.1-2] + before a character", sub("a/+b/c"), FILTER),
    ("[MQTT-4.7.3-1] an empty filter", sub(""), MALFORMED),
    ("[MQTT-4.8.2-1] an empty share name", sub("$share//a"), FILTER),
    ("[MQTT-4.8.2-2] a wildcard in a share name", sub("$share/g+/a"), FILTER),
    ("[MQTT-4.8.2-2] a share name without a filter", sub("$share/g"), FILTER),
    ("[MQTT-4.8.2-2] an empty filter behind a share name", sub("$share/g/"), FILTER),
    # UNSUBSCRIBE
    ("[MQTT-3.10.3-2] UNSUBSCRIBE without a filter", m.unsubscribe(1), PROTOCOL),
    (
        "[MQTT-3.10.3-1] a filter to unsubscribe that is no UTF-8",
        m.unsubscribe(1, b"\xff"),
        MALFORMED,
    ),
    (
        "[MQTT-2.2.1-3] UNSUBSCRIBE with packet identifier 0",
        m.unsubscribe(0, "a"),
        PROTOCOL,
    ),
    # PINGREQ, DISCONNECT, size
    ("PINGREQ with a body", raw(0xC0, b"z"), MALFORMED),
    ("[MQTT-3.14.2-1] DISCONNECT with a reason of CONNACK", m.disconnect(0x84), PROTOCOL),
    (
        "DISCONNECT that wants to keep a session which ends",
        m.disconnect(0, {"session_expiry_interval": 9}),
        PROTOCOL,
    ),
    ("[MQTT-3.2.2-15] a packet above the maximum size", m.header(0x30, SIZE), TOO_LARGE),
]


def body(client_id=b"\0\1c", flags=2, props=b"\0", tail=b"", name=b"\0\4MQTT", level=5):
    """CONNECT out of its parts."""
    head = name + bytes([level, flags]) + b"\0\x3c" + props
    return raw(0x10, head + client_id + tail)


WILL = b"\0" + string("w") + string("m")
BOTH = string("u") + string("p")

# name, the first packet, the reason in CONNACK (None: closed without a word)
CONNECTING = [
    ("[MQTT-3.1.2-1] another protocol name", body(name=b"\0\4MQTX"), None),
    ("[MQTT-3.1.2-2] protocol version 6", body(level=6), 0x84),
    ("[MQTT-3.1.2-3] the reserved flag", body(flags=3), MALFORMED),
    ("[MQTT-2.1.3-1] CONNECT with flags", raw(0x11, body()[2:]), None),
    ("[MQTT-3.1.2-11] Will QoS without a Will", body(flags=0x0A), MALFORMED),
    ("[MQTT-3.1.2-12] Will QoS 3", body(flags=0x1E, tail=WILL), MALFORMED),
    ("[MQTT-3.1.2-13] Will Retain without a Will", body(flags=0x22), MALFORMED),
    ("[MQTT-3.1.2-9] the Will Flag without a Will", body(flags=6), MALFORMED),
    (
        "[MQTT-3.1.2-9] the Will Flag without a Will Payload",
        body(flags=6, tail=b"\0" + string("w")),
        MALFORMED,
    ),
    ("[MQTT-3.1.2-9] a Will without its flag", body(tail=WILL), MALFORMED),
    ("[MQTT-3.1.2-16] a user name without its flag", body(tail=string("u")), MALFORMED),
    ("[MQTT-3.1.2-17] a flag without its user name", body(flags=0x82), MALFORMED),
    (
        "[MQTT-3.1.2-18] a password without its flag",
        body(flags=0x82, tail=BOTH),
        MALFORMED,
    ),
    (
        "[MQTT-3.1.2-19] a flag without its password",
        body(flags=0xC2, tail=string("u")),
        MALFORMED,
    ),
    ("[MQTT-3.1.3-3] no client identifier", body(client_id=b""), MALFORMED),
    ("[MQTT-3.1.3-4] a client identifier of no UTF-8", body(string(b"\xff")), MALFORMED),
    ("[MQTT-1.5.4-2] U+0000 in a client identifier", body(string("a\0")), MALFORMED),
    (
        "[MQTT-3.1.3-11] a Will Topic that is no UTF-8",
        body(flags=6, tail=b"\0" + string(b"\xff") + string("m")),
        MALFORMED,
    ),
    (
        "[MQTT-4.7.0-1] a Will Topic with a wildcard",
        body(flags=6, tail=b"\0" + string("w/#") + string("m")),
        NAME,
    ),
    (
        "[MQTT-3.1.3-12] a user name that is no UTF-8",
        body(flags=0x82, tail=string(b"\xff")),
        MALFORMED,
    ),
    (
        "[MQTT-1.5.5-1] a Property Length longer than need be",
        body(props=b"\x80\0"),
        MALFORMED,
    ),
    ("[MQTT-2.2.2-1] CONNECT without a Property Length", body(props=b""), MALFORMED),
    ("Receive Maximum 0", m.connect("c", props={"receive_maximum": 0}), PROTOCOL),
    ("Maximum Packet Size 0", m.connect("c", props={"maximum_packet_size": 0}), PROTOCOL),
    (
        "Request Problem Information 2",
        m.connect("c", props={"request_problem_information": 2}),
        PROTOCOL,
    ),
    (
        "Authentication Data without a method",
        m.connect("c", props={"authentication_data": b"x"}),
        PROTOCOL,
    ),
    (
        "a property twice",
        m.connect("c", props=prop("session_expiry_interval", 1) * 2),
        PROTOCOL,
    ),
    (
        "a property of the Will outside of it",
        m.connect("c", props=prop("will_delay_interval", 1)),
        PROTOCOL,
    ),
    (
        "a property of CONNECT in the Will",
        m.connect("c", will=m.Will("w", props=prop("receive_maximum", 1))),
        PROTOCOL,
    ),
    ("bytes left over behind CONNECT", body(tail=b"z"), MALFORMED),
    ("a CONNECT that is cut", raw(0x10, body()[2:-2]), MALFORMED),
]

# What may not come first.
FIRST = [
    ("PUBLISH", m.publish("a")),
    ("PUBACK", m.puback(1)),
    ("PUBREL", m.pubrel(1)),
    ("SUBSCRIBE", m.subscribe(1, ("a", 0))),
    ("UNSUBSCRIBE", m.unsubscribe(1, "a")),
    ("PINGREQ", m.pingreq()),
    ("DISCONNECT", m.disconnect()),
    ("DISCONNECT with a reason", m.disconnect(4)),
    ("AUTH", m.auth(0x18, {"authentication_method": "M"})),
    ("CONNACK", m.connack()),
    ("SUBACK", m.suback(1, 0)),
    ("half a PUBLISH", m.publish("a", b"x" * 99)[:3]),
]


def connected(tap, run, other):
    for name, data, reason in CONNECTED:
        with tap.case(name):
            # Nothing is sent behind DISCONNECT, and the end comes.
            with m.Client(run.port, fresh()) as client:
                client.send(data)
                client.closed(reason)
            other.nothing()


def connecting(tap, run, other):
    for name, data, reason in CONNECTING:
        with tap.case(name):
            with m.Client(run.port, connect=False) as client:
                client.send(data)
                last = client.closed(reason)
                if last is not None:
                    weir.expect(not last.session_present, "Session Present")
            other.nothing()


def first(tap, run, other):
    for name, data in FIRST:
        with tap.case(name + " is no first packet"):
            with m.Client(run.port, connect=False) as client:
                client.send(data)
                client.closed()
            other.nothing()


case = Cases()


@case("CONNECT comes first, nothing is said to what does not [MQTT-3.1.0-1]")
def _(run, other):
    with m.Client(run.port, connect=False) as client:
        client.send(m.publish("first", b"x"), m.connect("late"))
        client.closed()
    other.nothing()


@case(
    "a topic alias above the server's maximum is refused [MQTT-3.3.2-9] "
    "[MQTT-3.2.2-17]"
)
def _(run, other):
    with m.Client(run.port, fresh()) as client:
        maximum = client.connack.props["topic_alias_maximum"]
        client.send(pub(fresh("t"), {"topic_alias": maximum + 1}))
        client.closed(ALIAS)


@case("the name of MQTT 3.1 with version 5 is refused in its words [MQTT-3.1.2-1]")
def _(run, other):
    with m.Client(run.port, version=3, connect=False) as client:
        client.send(body(name=b"\0\6MQIsdp"))
        client.expect(m.CONNACK, reason=1)
        client.closed()


@case("no DISCONNECT before CONNACK, whatever was wrong [MQTT-3.14.0-1]")
def _(run, other):
    for data in (body(flags=3), m.publish("a"), m.disconnect(0x84)):
        with m.Client(run.port, connect=False) as client:
            client.send(data)
            packet = None
            try:
                packet = client.read()
            except m.Closed:
                pass
            weir.expect(packet is None or packet.kind == m.CONNACK, packet)


@case(
    "a wrong CONNECT ends the connection and leaves no session "
    "[MQTT-3.1.4-1] [MQTT-3.2.2-6] [MQTT-3.2.2-7] [MQTT-4.13.2-1]"
)
def _(run, other):
    keep = {"session_expiry_interval": 60}
    with m.Client(run.port, connect=False) as client:
        client.send(m.connect("wrong", flags=0x0B, props=keep))
        answer = client.closed(MALFORMED)
        weir.expect(not answer.session_present, "Session Present")
    with m.Client(run.port, "wrong", clean=False) as client:
        weir.expect(not client.connack.session_present, "it left a session")


@case("nothing behind a refused CONNECT is looked at [MQTT-3.1.4-6]")
def _(run, other):
    topic = fresh("t")
    other.subscribe(topic)
    with m.Client(run.port, connect=False) as client:
        client.send(
            m.connect("refused", flags=3), m.publish(topic, b"x"), m.pingreq()
        )
        client.closed(MALFORMED)
    with m.Client(run.port, fresh()) as sender:
        other.expect_marker(sender, topic)


@case("nothing behind a malformed packet is looked at [MQTT-4.13.1-1]")
def _(run, other):
    topic = fresh("t")
    other.subscribe(topic)
    with m.Client(run.port, fresh()) as client:
        client.send(m.subscribe(1), m.publish(topic, b"x"))
        client.closed(PROTOCOL)
    with m.Client(run.port, fresh()) as sender:
        other.expect_marker(sender, topic)


@case(
    "after DISCONNECT nothing comes but the end, and nothing is taken "
    "[MQTT-3.14.4-1] [MQTT-3.14.4-2]"
)
def _(run, other):
    topic = fresh("t")
    other.subscribe(topic)
    with m.Client(run.port, fresh()) as client:
        client.send(m.disconnect(), m.publish(topic, b"x"), m.pingreq())
        client.closed()
    with m.Client(run.port, fresh()) as client:
        client.send(m.raw(0x00), m.pingreq(), m.publish(topic, b"x"))
        client.closed(MALFORMED)
    with m.Client(run.port, fresh()) as sender:
        other.expect_marker(sender, topic)


def main():
    tap = weir.Tap()
    with weir.Weir(http=None, accounts=None, durability="none", max_packet_size=SIZE) as run:
        with m.Client(run.port, "other") as other:
            for part in (connected, connecting, first, case.run):
                part(tap, run, other)
    tap.done()


if __name__ == "__main__":
    main()
