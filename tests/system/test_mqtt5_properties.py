#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""What MQTT 5.0 clients and the broker tell each other by properties."""

import signal

import weir
from mqtt_raw import (
    Client,
    Will,
    disconnect,
    options,
    publish,
    subscribe,
)
from weir import PUBACK, PUBLISH, PUBREC, SUBACK


def pair(suite, name, **props):
    """A publisher, and a subscriber to NAME/# that has these properties."""
    sub = Client(suite.port, name + "-sub", props=props)
    weir.expect(sub.subscribe(name + "/#", 1) == 1, "subscribed")
    return Client(suite.port, name + "-pub"), sub


def outgoing_aliases(tap, suite):
    with tap.case("without a Topic Alias Maximum no alias is sent"):
        # [MQTT-3.1.2-27]
        pub, sub = pair(suite, "none")
        for payload in (b"1", b"2", b"3"):
            pub.publish("none/topic", payload, 1)
            got = sub.receive("none/topic", payload)
            weir.expect("topic_alias" not in got.props, got)
    with tap.case("a topic is named once, then goes by its alias"):
        # [MQTT-3.1.2-26] [MQTT-3.3.2-11]
        pub, sub = pair(suite, "two", topic_alias_maximum=2)
        names = {}
        for payload, topic in (
            (b"1", "two/first"), (b"2", "two/first"), (b"3", "two/second"),
            (b"4", "two/second"), (b"5", "two/first"), (b"6", "two/first"),
        ):
            for qos in (0, 1):
                pub.publish(topic, payload, qos)
                got = sub.acknowledge(sub.expect(PUBLISH, qos=qos, payload=payload))
                alias = got.props["topic_alias"]
                weir.expect(1 <= alias <= 2, got)
                known = names.get(alias) == topic
                weir.expect(got.topic == ("" if known else topic), got)
                names[alias] = topic
        weir.expect(len(names) == 2, names)
    with tap.case("a third topic takes the alias used least lately"):
        pub.publish("two/second", b"7", 1)
        old = sub.acknowledge(sub.expect(PUBLISH, topic="")).props["topic_alias"]
        pub.publish("two/third", b"8", 1)
        new = sub.receive("two/third", b"8").props["topic_alias"]
        weir.expect(new != old and names[new] == "two/first", (old, new))
        pub.publish("two/first", b"9", 1)
        weir.expect(sub.receive("two/first", b"9").props["topic_alias"] == old, "")
    with tap.case("each receiver of one message has aliases of its own"):
        pub, one = pair(suite, "many", topic_alias_maximum=4)
        other = Client(suite.port, "many-5", props={"topic_alias_maximum": 4})
        plain = Client(suite.port, "many-plain")
        old = Client(suite.port, "many-3", version=4)
        other.subscribe("other/#")
        pub.publish("other/topic", b"shift")
        other.receive("other/topic", b"shift")
        for client in (other, plain, old):
            client.subscribe("many/#", 1)
        for number, named in ((1, True), (2, False), (3, False)):
            payload = b"%d" % number
            pub.publish("many/topic", payload, 1)
            name = "many/topic" if named else ""
            weir.expect(one.receive(name, payload).props["topic_alias"] == 1, "")
            weir.expect(other.receive(name, payload).props["topic_alias"] == 2, "")
            weir.expect(plain.receive("many/topic", payload).props == {}, "plain")
            old.receive("many/topic", payload)
    with tap.case("an alias goes with Subscription Identifiers, expiry and DUP"):
        props = {"topic_alias_maximum": 4, "session_expiry_interval": 60}
        sub = Client(suite.port, "all", props=props)
        sub.subscribe("all/#", 1, props={"subscription_identifier": 77})
        more = {"message_expiry_interval": 50, "content_type": "text"}
        for topic in ("all/topic", ""):
            pub.publish("all/topic", b"x", 1, props=more)
            got = sub.expect(PUBLISH, topic=topic, payload=b"x", dup=False)
            weir.expect(got.props["topic_alias"] == 1, got)
            weir.expect(got.props["subscription_identifier"] == [77], got)
            weir.expect(got.props["content_type"] == "text", got)
            weir.expect(0 < got.props["message_expiry_interval"] <= 50, got)
        sub.cut()
        # [MQTT-3.3.2-7]: the next connection knows none of them.
        sub = Client(suite.port, "all", clean=False, props=props)
        weir.expect(sub.connack.session_present, "the session is there")
        for topic in ("all/topic", ""):
            got = sub.expect(PUBLISH, topic=topic, payload=b"x", dup=True)
            weir.expect(got.props["topic_alias"] == 1, got)
    with tap.case("a retained message goes by an alias, too"):
        pub.publish("kept/topic", b"kept", 1, retain=True)
        sub = Client(suite.port, "kept", props={"topic_alias_maximum": 1})
        sub.subscribe("kept/#")
        sub.receive("kept/topic", b"kept", retain=True)
        sub.subscribe("kept/#")
        sub.receive("", b"kept", retain=True)
    with tap.case("an alias that would be too large for the client is left out"):
        # PUBLISH of 5 + 9 + payload bytes; an alias is three more.
        limit = 100
        sub = Client(
            suite.port, "tight",
            props={"topic_alias_maximum": 4, "maximum_packet_size": limit},
        )
        sub.subscribe("tight/abc")
        fits = b"y" * (limit - 2 - 2 - len("tight/abc") - 1)
        pub.publish("tight/abc", fits + b"z")
        pub.publish("tight/abc", fits)
        got = sub.receive("tight/abc", fits)
        weir.expect("topic_alias" not in got.props, got)
        pub.publish("tight/abc", b"small")
        weir.expect(sub.receive("tight/abc", b"small").props["topic_alias"] == 1, "")
    with tap.case("no more aliases are used than topic_alias_maximum_out"):
        pub, sub = pair(suite, "most", topic_alias_maximum=65535)
        for number in range(5):
            pub.publish("most/%d" % number, b"m", 1)
            alias = sub.receive("most/%d" % number, b"m").props["topic_alias"]
            weir.expect(alias == min(number + 1, 4 if number < 4 else 1), alias)


def incoming_aliases(tap, suite):
    with tap.case("CONNACK says how many aliases a client may use"):
        pub = Client(suite.port, "in-pub")
        weir.expect(pub.connack.props["topic_alias_maximum"] == 3, pub.connack)
        sub = Client(suite.port, "in-sub")
        sub.subscribe("in/#")
        # [MQTT-3.3.2-12]
        for alias in (1, 2, 3):
            pub.publish("in/%d" % alias, b"name", props={"topic_alias": alias})
            sub.receive("in/%d" % alias, b"name")
        for alias in (3, 1, 2):
            pub.publish("", b"alias", props={"topic_alias": alias})
            sub.receive("in/%d" % alias, b"alias")
        pub.publish("in/new", b"again", props={"topic_alias": 2})
        sub.receive("in/new", b"again")
        pub.publish("", b"alias", props={"topic_alias": 2})
        sub.receive("in/new", b"alias")
    with tap.case("an alias above that is 0x94, one without a name 0x82"):
        for alias, topic in ((4, "in/4"), (0, "in/0")):
            one = Client(suite.port, "in-bad")
            one.publish(topic, b"", props={"topic_alias": alias})
            one.closed(0x94)
        one = Client(suite.port, "in-bad")
        one.publish("", b"", props={"topic_alias": 3})
        one.closed(0x82)


def reason_strings(tap, suite):
    def refused(**props):
        one = Client(suite.port, "why", props=props)
        one.send(publish("$SYS/x", b"", 1, 9), publish("$SYS/x", b"", 2, 10))
        return one, one.expect(PUBACK, id=9, reason=0x87)

    with tap.case("a refusal says why, if the client wants to know"):
        one, answer = refused()
        weir.expect("publish" in answer.props["reason_string"], answer)
        weir.expect("reason_string" in one.expect(PUBREC, reason=0x87).props, "")
    with tap.case("Request Problem Information 0: no Reason String there"):
        # [MQTT-3.1.2-29]
        one, answer = refused(request_problem_information=0)
        weir.expect(answer.props == {}, answer)
        weir.expect(one.expect(PUBREC, reason=0x87).props == {}, "PUBREC")
    with tap.case("no Reason String beyond the Maximum Packet Size"):
        # [MQTT-3.4.2-2] [MQTT-3.5.2-2] [MQTT-3.14.2-3]
        one, answer = refused(maximum_packet_size=48)
        weir.expect(answer.props == {}, answer)
        weir.expect(one.expect(PUBREC, reason=0x87).props == {}, "PUBREC")
        one.publish("", b"", props={"topic_alias": 9})
        weir.expect(one.closed(0x94).props == {}, "DISCONNECT")
    with tap.case("DISCONNECT says what was wrong"):
        one = Client(suite.port, "why")
        one.publish("", b"", props={"topic_alias": 9})
        weir.expect("Alias" in one.closed(0x94).props["reason_string"], "")


def packet_sizes(tap, suite):
    with tap.case("a CONNACK that the client does not take is not sent"):
        # [MQTT-3.1.2-24]
        one = Client(suite.port, connect=False)
        try:
            one.start("tiny", props={"maximum_packet_size": 10})
        except AssertionError:
            pass
        weir.expect(one.connack is None or one.connack.reason == 0x95, one.seen)
        weir.expect(all(len(p.body) + 2 <= 10 for p in one.seen), one.seen)
    with tap.case("nor a SUBACK: 0x95"):
        one = Client(suite.port, "tiny", props={"maximum_packet_size": 60})
        one.send(subscribe(1, *[("tiny/%d" % i, 0) for i in range(56)]))
        one.closed(0x95)
        one = Client(suite.port, "tiny", props={"maximum_packet_size": 60})
        one.send(subscribe(1, *[("tiny/%d" % i, 0) for i in range(55)]))
        one.expect(SUBACK, reasons=[0] * 55)


def response_information(tap, suite):
    with tap.case("Response Information is for those who ask"):
        # [MQTT-3.1.2-28]
        for asked, want in ((1, "answers/"), (0, None), (None, None)):
            props = {} if asked is None else {"request_response_information": asked}
            got = Client(suite.port, "asks", props=props).connack.props
            weir.expect(got.get("response_information") == want, got)


def expiry(tap, suite):
    with tap.case("a session without expiry gets none by DISCONNECT"):
        one = Client(suite.port, "short")
        one.send(disconnect(0, {"session_expiry_interval": 5}))
        one.closed(0x82)
    with tap.case("one with expiry may change it, also to 0"):
        for seconds, present in ((30, True), (0, False)):
            one = Client(suite.port, "long", props={"session_expiry_interval": 60})
            one.end(0, {"session_expiry_interval": seconds})
            again = Client(suite.port, "long", clean=False)
            weir.expect(again.connack.session_present == present, seconds)
            again.end()


def lacks(tap):
    with weir.Weir(
        max_qos=1, retain_available=False, wildcard_subscriptions=False,
        shared_subscriptions=False, subscription_identifiers=False,
        topic_alias_maximum=0, topic_alias_maximum_out=0,
    ) as suite:
        with tap.case("CONNACK says what there is not"):
            # [MQTT-3.2.2-9]
            one = Client(suite.port, "lacks", props={"topic_alias_maximum": 9})
            want = {
                "maximum_qos": 1,
                "retain_available": 0,
                "wildcard_subscription_available": 0,
                "shared_subscription_available": 0,
                "subscription_identifier_available": 0,
            }
            got = one.connack.props
            weir.expect({k: got.get(k) for k in want} == want, got)
            weir.expect("topic_alias_maximum" not in got, got)
        with tap.case("QoS 2 is 0x9B, a retained message 0x9A, an alias 0x94"):
            for packet, reason in (
                (publish("a", b"", 2, 1), 0x9B),
                (publish("a", b"x", retain=True), 0x9A),
                (publish("a", b"x", props={"topic_alias": 1}), 0x94),
            ):
                one = Client(suite.port, "lacks")
                one.send(packet)
                one.closed(reason)
            for more in ({"qos": 2, "id": 1}, {"retain": True}):
                old = Client(suite.port, "lacks-3", version=4)
                old.send(publish("a", b"x", version=4, **more))
                old.closed()
        with tap.case("a will may not ask for it either"):
            # [MQTT-3.2.2-12] [MQTT-3.2.2-13]
            for will, reason in (
                (Will("w", b"", 2), 0x9B), (Will("w", b"", 1, True), 0x9A),
            ):
                one = Client(suite.port, "lacks", will=will)
                weir.expect(one.connack.reason == reason, one.connack)
                weir.expect("will" in one.connack.props["reason_string"], "")
            Client(suite.port, "lacks", will=Will("w", b"", 1)).end()
        with tap.case("subscriptions of QoS 2 are granted 1"):
            # [MQTT-3.2.2-10]
            one = Client(suite.port, "lacks")
            weir.expect(one.subscribe("plain", options(2)) == 1, "granted")
        with tap.case("wildcards, shares and identifiers are refused by name"):
            for topic_filter, props, reason in (
                ("a/+", None, 0xA2), ("#", None, 0xA2),
                ("$share/g/a", None, 0x9E),
                ("a", {"subscription_identifier": 1}, 0xA1),
            ):
                one = Client(suite.port, "lacks")
                one.send(subscribe(1, ("a", 0), (topic_filter, 0), props=props))
                one.closed(reason)
            old = Client(suite.port, "lacks-3", version=4)
            old.send(subscribe(1, ("a", 0), ("a/+", 0), version=4))
            old.expect(SUBACK, reasons=[0, 0x80])


def receive_maximum(tap):
    def held(suite):
        pub = Client(suite.port, "greedy")
        weir.expect(pub.connack.props["receive_maximum"] == 3, pub.connack)
        pub.send(*[publish("q/%d" % i, b"", 2, i) for i in range(1, 4)])
        for i in range(1, 4):
            pub.expect(PUBREC, id=i)
        pub.send(publish("q/4", b"", 2, 4))
        return pub

    with weir.Weir(receive_maximum=3, max_inflight=9) as suite:
        with tap.case("one message more than the Receive Maximum is 0x93"):
            held(suite).closed(0x93)
    with weir.Weir(receive_maximum=3, receive_maximum_policy="warn") as suite:
        with tap.case("with warn it is taken, counted, and said once"):
            pub = held(suite)
            pub.expect(PUBREC, id=4)
            pub.publish("q/5", b"", 1)
            pub.end()
            event = "receive_maximum_exceeded"
            weir.wait_for("the line", lambda: suite.lines(event))
            weir.expect(len(suite.lines(event)) == 1, suite.lines(event))


def another_server(tap):
    with weir.Weir(server_reference="other.example:1883", http=None) as suite:
        with tap.case("a broker that is stopped names another server"):
            one = Client(suite.port, "one")
            tiny = Client(suite.port, "tiny", props={"maximum_packet_size": 21})
            old = Client(suite.port, "old", version=4)
            suite.child.send_signal(signal.SIGTERM)
            last = one.closed(0x9C)
            weir.expect(last.props["server_reference"] == "other.example:1883", last)
            weir.expect(tiny.closed(0x9C).props == {}, "too large for it")
            old.closed()
            suite.child.wait(timeout=15)


def main():
    tap = weir.Tap(120)
    with weir.Weir(
        topic_alias_maximum=3, topic_alias_maximum_out=4,
        response_information="answers/",
    ) as suite:
        outgoing_aliases(tap, suite)
        incoming_aliases(tap, suite)
        reason_strings(tap, suite)
        packet_sizes(tap, suite)
        response_information(tap, suite)
        expiry(tap, suite)
    lacks(tap)
    receive_maximum(tap)
    another_server(tap)
    tap.done()


if __name__ == "__main__":
    main()
