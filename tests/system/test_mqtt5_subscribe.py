#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""MQTT 5.0: SUBSCRIBE, UNSUBSCRIBE, subscription options, shared ones."""

import mqtt_raw as m
import weir
from cases import Cases, fresh
from mqtt_raw import Client, options

KEEP = {"session_expiry_interval": 600}
TOO_DEEP = "/" * 300  # a filter of more levels than any broker of ours takes

case = Cases()


class Room:
    """Clients that end with the case: a sender, and what get() makes."""

    def __init__(self, run):
        self.run = run
        self.clients = []
        self.sender = self.get()

    def get(self, name=None, **how):
        client = Client(self.run.port, name or fresh(), **how)
        self.clients.append(client)
        return client

    def retained(self, topic, payload=b"kept", qos=1):
        self.sender.publish(topic, payload, qos, retain=True)
        return topic

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for client in self.clients:
            client.cut()


# ------------------------------------------------------------ SUBSCRIBE


@case(
    "SUBSCRIBE is answered by SUBACK under its identifier [MQTT-3.8.4-1] "
    "[MQTT-3.8.4-2] [MQTT-2.2.1-6]"
)
def _(run):
    with Room(run) as room:
        client = room.get()
        for number in (1, 300, 65535):
            client.send(m.subscribe(number, (fresh("t"), 1)))
            client.expect(m.SUBACK, id=number, reasons=[1])


@case(
    "one SUBACK has a reason code for each filter, in order, the granted QoS or a "
    "failure [MQTT-3.8.4-5] [MQTT-3.8.4-6] [MQTT-3.8.4-7] [MQTT-3.9.3-1] "
    "[MQTT-3.9.3-2]"
)
def _(run):
    with Room(run) as room:
        client = room.get()
        stem = fresh("t")
        asked = [(stem + "/2", 2), (TOO_DEEP, 1), (stem + "/0", 0), (stem + "/1", 1)]
        client.send(m.subscribe(9, *asked), m.pingreq())
        got = client.expect(m.SUBACK, id=9).reasons
        weir.expect(got[:1] + got[2:] == [2, 0, 1] and got[1] >= 0x80, got)
        client.expect(m.PINGRESP)
        # Each works as if it had been subscribed alone.
        for qos in (0, 1, 2):
            room.sender.publish("%s/%d" % (stem, qos), b"x", 2)
            client.receive("%s/%d" % (stem, qos), b"x", qos=qos)


@case("retained messages come behind their SUBACK [MQTT-3.8.4-1]")
def _(run):
    with Room(run) as room:
        topics = [room.retained(fresh("t")) for _ in range(3)]
        client = room.get()
        client.send(m.subscribe(1, *((t, 1) for t in topics)))
        client.expect(m.SUBACK, id=1, reasons=[1, 1, 1])
        got = {client.acknowledge(client.expect(m.PUBLISH)).topic for _ in topics}
        weir.expect(got == set(topics), got)


@case("messages come at the lower of published and granted QoS [MQTT-3.8.4-8]")
def _(run):
    with Room(run) as room:
        topic = fresh("t")
        for granted in (0, 1, 2):
            client = room.get()
            weir.expect(client.subscribe(topic, granted) == granted, "not granted")
            for published in (0, 1, 2):
                room.sender.publish(topic, b"x", published)
                client.receive(topic, b"x", qos=min(published, granted))
            client.cut()


@case("a subscription of the same filter replaces the older [MQTT-3.8.4-3]")
def _(run):
    with Room(run) as room:
        topic = fresh("t")
        client = room.get()
        client.subscribe(topic, 2, {"subscription_identifier": 7})
        room.sender.publish(topic, b"x", 2)
        client.receive(topic, b"x", qos=2, props={"subscription_identifier": [7]})
        client.subscribe(topic, 0)
        room.sender.publish(topic, b"y", 2)
        client.receive(topic, b"y", qos=0, props={})
        client.nothing()
        weir.expect(client.unsubscribe(topic).reasons == [0], "not one")
        weir.expect(client.unsubscribe(topic).reasons == [0x11], "two")


@case(
    "replacing a subscription loses no message, and sends retained ones again "
    "[MQTT-3.8.4-4]"
)
def _(run):
    with Room(run) as room:
        topic = room.retained(fresh("t"))
        client = room.get(props={"receive_maximum": 500})
        client.subscribe(topic, 1)
        client.receive(topic, b"kept", retain=True)
        count = 60
        for number in range(count):
            room.sender.send(m.publish(topic, b"%d" % number, 1, number + 1))
            if number % 20 == 10:
                client.send(m.subscribe(1000 + number, (topic, 1)))
        for number in range(count):
            room.sender.expect(m.PUBACK, id=number + 1)
        # Requests that come together may be answered by sending them once,
        # behind the last SUBACK.
        owed, numbers, answers = True, [], 0
        while len(numbers) < count or owed or answers < 3:
            packet = client.read()
            weir.expect(packet is not None, (len(numbers), owed, answers))
            if packet.kind == m.SUBACK:
                answers += 1
                owed = True
            elif packet.retain:
                owed = False
            else:
                numbers.append(int(packet.payload))
        weir.expect(numbers == list(range(count)), numbers)
        client.nothing()


# -------------------------------------------------- subscription options


@case("No Local: nothing comes back to its publisher [MQTT-3.8.3-3]")
def _(run):
    with Room(run) as room:
        topic = fresh("t")
        client = room.get()
        client.subscribe(topic, options(2, no_local=True))
        for qos in (0, 1, 2):
            client.publish(topic, b"mine", qos)
        room.sender.publish(topic, b"another's", 1)
        client.receive(topic, b"another's")
        # Also of the same client identifier in a later connection.
        name = fresh()
        client = room.get(name, props=KEEP)
        client.subscribe(topic, options(1, no_local=True))
        client.cut()
        client = room.get(name, clean=False, props=KEEP)
        client.publish(topic, b"mine", 1)
        client.expect_marker(room.sender, topic, 1)


@case("without No Local its own messages come to a client [MQTT-3.8.3-3]")
def _(run):
    with Room(run) as room:
        client, topic = room.get(), fresh("t")
        client.subscribe(topic, 0)
        client.send(m.publish(topic, b"mine"))
        client.receive(topic, b"mine")


@case("Retain As Published 0: RETAIN is 0 in what is forwarded [MQTT-3.3.1-12]")
def _(run):
    with Room(run) as room:
        client, topic = room.get(), fresh("t")
        client.subscribe(topic, options(2))
        for retain in (True, False):
            for qos in (0, 1, 2):
                room.sender.publish(topic, b"x", qos, retain=retain)
                client.receive(topic, b"x", retain=False)
        room.sender.publish(topic, b"", 0, retain=True)
        client.receive(topic, b"", retain=False)


@case("Retain As Published 1: RETAIN is as it was published [MQTT-3.3.1-13]")
def _(run):
    with Room(run) as room:
        client, topic = room.get(), fresh("t")
        client.subscribe(topic, options(2, as_published=True))
        for retain in (True, False):
            for qos in (0, 1, 2):
                room.sender.publish(topic, b"x", qos, retain=retain)
                client.receive(topic, b"x", retain=retain)
        room.sender.publish(topic, b"", 0, retain=True)
        client.receive(topic, b"", retain=True)


@case(
    "Retain Handling 0: retained messages come at each SUBSCRIBE [MQTT-3.3.1-9] "
    "[MQTT-3.8.4-4]"
)
def _(run):
    with Room(run) as room:
        topic = room.retained(fresh("t"))
        client = room.get()
        for _ in range(3):
            client.subscribe(topic, options(1, handling=0))
            client.receive(topic, b"kept", retain=True, dup=False)
        client.nothing()


@case("Retain Handling 1: only if the subscription is new [MQTT-3.3.1-10]")
def _(run):
    with Room(run) as room:
        topic = room.retained(fresh("t"))
        name = fresh()
        client = room.get(name, props=KEEP)
        client.subscribe(topic, options(1, handling=1))
        client.receive(topic, b"kept", retain=True)
        client.subscribe(topic, options(1, handling=1))
        client.subscribe(topic, options(2, handling=1))
        client.nothing()
        # It is not new either when the session is resumed.
        client.cut()
        client = room.get(name, clean=False, props=KEEP)
        client.subscribe(topic, options(1, handling=1))
        client.nothing()
        client.unsubscribe(topic)
        client.subscribe(topic, options(1, handling=1))
        client.receive(topic, b"kept", retain=True)


@case("Retain Handling 2: no retained messages [MQTT-3.3.1-11]")
def _(run):
    with Room(run) as room:
        topic = room.retained(fresh("t"))
        client = room.get()
        client.subscribe(topic, options(1, handling=2))
        client.nothing()
        room.retained(topic, b"new")
        client.receive(topic, b"new", retain=False)


# --------------------------------------------------------- overlapping


@case("overlapping subscriptions: one message of the highest QoS [MQTT-3.3.4-2]")
def _(run):
    with Room(run) as room:
        topic = fresh("t") + "/x"
        client = room.get()
        for topic_filter, qos in ((topic[:-1] + "+", 0), (topic, 2), ("+/x", 1)):
            client.subscribe(topic_filter, qos)
        for qos in (2, 1, 0):
            room.sender.publish(topic, b"x", qos)
            client.receive(topic, b"x", qos=qos)
        client.expect_marker(room.sender, topic)


@case(
    "overlapping subscriptions: one message has all their identifiers "
    "[MQTT-3.3.4-3] [MQTT-3.3.4-4] [MQTT-3.3.4-5]"
)
def _(run):
    with Room(run) as room:
        topic = fresh("t") + "/x"
        client = room.get()
        for topic_filter, number in (
            (topic, 1),
            (topic[:-1] + "+", 268435455),
            (topic[:-1] + "#", 128),
            ("+/x", None),
            ("+/y", 5),
        ):
            props = None if number is None else {"subscription_identifier": number}
            client.subscribe(topic_filter, 1, props)
        # Weir sends one copy: several, each with its own, never come.
        for qos in (0, 1, 2):
            room.sender.publish(topic, b"x", qos)
            got = client.receive(topic, b"x").props
            numbers = sorted(got.pop("subscription_identifier"))
            weir.expect(numbers == [1, 128, 268435455] and not got, numbers)
        client.nothing()
        client.unsubscribe(topic)
        room.sender.publish(topic, b"x", 1)
        got = client.receive(topic, b"x").props["subscription_identifier"]
        weir.expect(sorted(got) == [128, 268435455], got)


@case(
    "a retained message has the identifier of the subscription that asked "
    "[MQTT-3.3.4-3]"
)
def _(run):
    with Room(run) as room:
        topic = room.retained(fresh("t"))
        client = room.get()
        client.subscribe(topic, 1, {"subscription_identifier": 42})
        client.receive(topic, b"kept", props={"subscription_identifier": [42]})


@case("identifiers wait with the message for a session [MQTT-3.3.4-4]")
def _(run):
    with Room(run) as room:
        topic, name = fresh("t"), fresh()
        client = room.get(name, props=KEEP)
        client.subscribe(topic, 1, {"subscription_identifier": 42})
        client.subscribe("+/" + topic, 1, {"subscription_identifier": 9})
        client.send(m.disconnect())
        client.closed()
        room.sender.publish(topic, b"x", 1)
        client = room.get(name, clean=False, props=KEEP)
        client.receive(topic, b"x", props={"subscription_identifier": [42]})


# ---------------------------------------------------------- UNSUBSCRIBE


@case(
    "UNSUBSCRIBE is answered by UNSUBACK under its identifier [MQTT-3.10.4-4] "
    "[MQTT-3.10.4-5] [MQTT-2.2.1-6]"
)
def _(run):
    with Room(run) as room:
        client, topic = room.get(), fresh("t")
        client.subscribe(topic, 1)
        for number, reason in ((1, 0), (300, 0x11), (65535, 0x11)):
            client.send(m.unsubscribe(number, topic))
            client.expect(m.UNSUBACK, id=number, reasons=[reason])


@case(
    "one UNSUBACK has a reason code for each filter, in order "
    "[MQTT-3.10.4-6] [MQTT-3.11.3-1] [MQTT-3.11.3-2]"
)
def _(run):
    with Room(run) as room:
        client, stem = room.get(), fresh("t")
        for name in "ac":
            client.subscribe(stem + name, 1)
        client.send(m.unsubscribe(5, *(stem + name for name in "abca")), m.pingreq())
        client.expect(m.UNSUBACK, id=5, reasons=[0, 0x11, 0, 0x11])
        client.expect(m.PINGRESP)
        for name in "ac":
            done = room.sender.publish(stem + name, b"x", 1)
            weir.expect(done.reason == 0x10, "still subscribed to " + name)


@case("filters to unsubscribe are compared character by character [MQTT-3.10.4-1]")
def _(run):
    with Room(run) as room:
        client, stem = room.get(), fresh("t")
        for name in (stem + "/+", stem + "/a"):
            client.subscribe(name, 1)
        # They match or resemble what is there, and are not equal.
        for name in ("/#", "/A", "/a/", "/", "/+/", "/b"):
            got = client.unsubscribe(stem + name).reasons
            weir.expect(got == [0x11], (name, got))
        weir.expect(client.unsubscribe(stem + "/a").reasons == [0], "not found")
        room.sender.publish(stem + "/a", b"by the other", 1)
        client.receive(stem + "/a", b"by the other")
        weir.expect(client.unsubscribe(stem + "/+").reasons == [0], "not found")
        client.nothing()


@case("after UNSUBACK no new message is added [MQTT-3.10.4-2]")
def _(run):
    with Room(run) as room:
        client, topic, other = room.get(), fresh("t"), fresh("t")
        client.subscribe(topic, 1)
        client.subscribe(other, 1)
        client.unsubscribe(topic)
        for qos in (0, 1, 2):
            room.sender.publish(topic, b"x", qos)
        client.expect_marker(room.sender, other, 1)


@case("what was begun is completed in spite of UNSUBSCRIBE [MQTT-3.10.4-3]")
def _(run):
    with Room(run) as room:
        name, topic = fresh(), fresh("t")
        client = room.get(name, props=KEEP)
        client.subscribe(topic, 2)
        for qos in (1, 2, 2):
            room.sender.publish(topic, b"x", qos)
        one, two, late = [client.expect(m.PUBLISH) for _ in range(3)]
        client.send(m.pubrec(two.id))
        client.expect(m.PUBREL, id=two.id)
        client.unsubscribe(topic)
        client.acknowledge(late)
        # Also over the end of the connection.
        client.cut()
        client = room.get(name, clean=False, props=KEEP)
        again = client.expect(m.PUBLISH, id=one.id, dup=True, qos=1)
        client.expect(m.PUBREL, id=two.id)
        client.send(m.puback(again.id), m.pubcomp(two.id))
        client.nothing()


@case("PINGREQ is answered by PINGRESP [MQTT-3.12.4-1]")
def _(run):
    with Room(run) as room:
        client = room.get()
        client.send(m.pingreq(), m.pingreq(), m.pingreq())
        for _ in range(3):
            client.expect(m.PINGRESP)
        client.nothing()


@case("SUBACK and UNSUBACK that were too large are not sent: 0x95 [MQTT-3.1.2-24]")
def _(run):
    with Room(run) as room:
        names = [fresh("t") for _ in range(40)]
        for size, fits in ((45, True), (44, False)):
            # 2 header, 2 identifier, 1 properties, 40 codes.
            for packet in (
                m.subscribe(1, *((name, 0) for name in names)),
                m.unsubscribe(1, *names),
            ):
                client = room.get(props={"maximum_packet_size": size})
                client.send(packet)
                if fits:
                    weir.expect(len(client.read().reasons) == 40, "codes")
                else:
                    client.closed(0x95)


# ---------------------------------------------------------------- shared


@case(
    "a shared filter is subscribed to, and delivered to one member [MQTT-4.8.2-1] "
    "[MQTT-4.8.2-2]"
)
def _(run):
    with Room(run) as room:
        topic = fresh("t")
        members = [room.get() for _ in range(3)]
        for member in members:
            got = member.subscribe("$share/g-%s/%s/+" % (topic, topic), 1)
            weir.expect(got == 1, "%#x" % got)
        other = room.get()
        other.subscribe("$share/other/%s/#" % topic, 0)
        for number in range(30):
            room.sender.publish(topic + "/x", b"%d" % number, 1)
            other.receive(topic + "/x", b"%d" % number)
        got = []
        for member in members:
            member.send(m.pingreq())
            while True:
                packet = member.read()
                if packet.kind == m.PINGRESP:
                    break
                got.append(int(packet.payload))
                member.acknowledge(packet)
        weir.expect(sorted(got) == list(range(30)), got)


@case(
    "a message of a shared subscription comes at the granted QoS of its member "
    "[MQTT-4.8.2-3]"
)
def _(run):
    with Room(run) as room:
        topic = fresh("t")
        members = [room.get() for _ in range(3)]
        for qos, member in enumerate(members):
            member.subscribe("$share/g/" + topic, qos)
        for number in range(30):
            room.sender.publish(topic, b"%d" % number, 2)
        seen = 0
        for qos, member in enumerate(members):
            member.send(m.pingreq())
            while True:
                packet = member.read()
                if packet.kind == m.PINGRESP:
                    break
                weir.expect(packet.qos == qos, packet)
                seen += 1
        weir.expect(seen == 30, "%d of 30" % seen)


@case("what a member refuses goes to no other [MQTT-4.8.2-6] [MQTT-4.4.0-2]")
def _(run):
    with Room(run) as room:
        topic = fresh("t")
        name = fresh()
        first = room.get(name, props=KEEP)
        first.subscribe("$share/g/" + topic, 2)
        for qos in (1, 2):
            room.sender.publish(topic, b"refused", qos)
        got = [first.expect(m.PUBLISH) for _ in (1, 2)]
        second = room.get()
        second.subscribe("$share/g/" + topic, 2)
        first.send(m.puback(got[0].id, 0x83), m.pubrec(got[1].id, 0x83))
        first.nothing()
        second.nothing()
        first.cut()
        first = room.get(name, clean=False, props=KEEP)
        first.nothing()
        second.nothing()


@case("QoS 2 that was begun with a member is completed with it [MQTT-4.8.2-4]")
def _(run):
    with Room(run) as room:
        topic, name = fresh("t"), fresh()
        first = room.get(name, props=KEEP)
        first.subscribe("$share/g/" + topic, 2)
        for text in (b"sent", b"received"):
            room.sender.publish(topic, text, 2)
        sent = first.expect(m.PUBLISH, payload=b"sent")
        received = first.expect(m.PUBLISH, payload=b"received")
        first.send(m.pubrec(received.id))
        first.expect(m.PUBREL, id=received.id)
        second = room.get()
        second.subscribe("$share/g/" + topic, 2)
        first.cut()
        first = room.get(name, clean=False, props=KEEP)
        got = first.expect(m.PUBLISH, payload=b"sent", dup=True, id=sent.id)
        first.expect(m.PUBREL, id=received.id)
        first.send(m.pubcomp(received.id))
        first.acknowledge(got)
        first.nothing()
        second.nothing()


@case(
    "QoS 2 that was begun with a member whose session ends goes to no other "
    "[MQTT-4.8.2-5]"
)
def _(run):
    with Room(run) as room:
        topic = fresh("t")
        first = room.get()
        first.subscribe("$share/g/" + topic, 2)
        room.sender.publish(topic, b"begun", 2)
        first.expect(m.PUBLISH, payload=b"begun")
        second = room.get()
        second.subscribe("$share/g/" + topic, 2)
        first.send(m.disconnect())
        first.closed()
        # The next one of the group is the next to come.
        room.sender.publish(topic, b"next", 2)
        second.receive(topic, b"next")
        second.nothing()


def main():
    tap = weir.Tap()
    with weir.Weir(http=None, accounts=None, durability="process") as run:
        case.run(tap, run)
    tap.done()


if __name__ == "__main__":
    main()
