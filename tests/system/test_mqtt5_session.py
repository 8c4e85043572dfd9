#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""MQTT 5.0: what is sent again, and how much may be under way."""

import mqtt_raw as m
import weir
from cases import Cases, fresh
from mqtt_raw import Client

KEEP = {"session_expiry_interval": 600}
EXCEEDED = 0x93

case = Cases()


class Stay:
    """A subscriber with a session to come back to, and who sends to it."""

    def __init__(self, run, byte=2, **props):
        self.run, self.name, self.topic = run, fresh(), fresh("t")
        self.props = dict(KEEP, **props)
        self.sender = Client(run.port, fresh())
        self.client = Client(run.port, self.name, props=self.props)
        self.client.subscribe(self.topic, byte)

    def send(self, *payloads, qos=1):
        for payload in payloads:
            self.sender.publish(self.topic, payload, qos)

    def next(self, **fields):
        return self.client.expect(m.PUBLISH, topic=self.topic, **fields)

    def back(self):
        """Gone without a word, and connected again."""
        self.client.cut()
        self.client = Client(self.run.port, self.name, clean=False, props=self.props)
        weir.expect(self.client.connack.session_present, "no session")
        return self.client

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sender.cut()
        self.client.cut()


# ---------------------------------------------------------- sent again


@case(
    "PUBLISH without PUBACK comes again, DUP, under its identifier, until PUBACK "
    "[MQTT-4.4.0-1] [MQTT-3.3.1-1] [MQTT-4.3.2-3]"
)
def _(run):
    with Stay(run) as stay:
        stay.send(b"a", b"b", b"c")
        first = [stay.next(payload=p, dup=False, qos=1) for p in (b"a", b"b", b"c")]
        for _ in range(2):
            stay.back()
            for packet in first:
                stay.next(payload=packet.payload, id=packet.id, dup=True, qos=1)
        # Acknowledged is forgotten, the others are not.
        stay.client.send(m.puback(first[1].id))
        stay.client.nothing()
        stay.back()
        for packet in (first[0], first[2]):
            stay.next(payload=packet.payload, id=packet.id, dup=True)
            stay.client.send(m.puback(packet.id))
        stay.client.nothing()
        stay.back().nothing()


@case(
    "QoS 2: PUBLISH comes again until PUBREC, then PUBREL until PUBCOMP "
    "[MQTT-4.4.0-1] [MQTT-4.3.3-3] [MQTT-4.3.3-5] [MQTT-4.3.3-6] [MQTT-3.3.1-1]"
)
def _(run):
    with Stay(run) as stay:
        stay.send(b"x", qos=2)
        first = stay.next(dup=False, qos=2)
        stay.back()
        stay.next(id=first.id, dup=True, qos=2, payload=b"x")
        stay.client.send(m.pubrec(first.id))
        stay.client.expect(m.PUBREL, id=first.id, reason=0)
        for _ in range(2):
            stay.back()
            stay.client.expect(m.PUBREL, id=first.id, reason=0)
            stay.client.nothing()
        stay.client.send(m.pubcomp(first.id))
        stay.client.nothing()
        stay.back().nothing()


@case("nothing is sent again while the connection lasts [MQTT-4.4.0-1]")
def _(run):
    with Stay(run) as stay:
        stay.send(b"one")
        stay.next(payload=b"one")
        stay.send(b"two", qos=2)
        two = stay.next(payload=b"two")
        stay.client.send(m.pubrec(two.id))
        stay.client.expect(m.PUBREL, id=two.id)
        # Neither by time nor by what else happens.
        stay.send(b"three", qos=0)
        stay.next(payload=b"three")
        stay.client.subscribe(stay.topic + "/other", 1)
        stay.client.nothing()


@case(
    "PUBACK and PUBREC of 0x80 or above acknowledge, nothing comes again "
    "[MQTT-4.4.0-2]"
)
def _(run):
    with Stay(run, receive_maximum=2) as stay:
        stay.send(b"one", qos=1)
        stay.send(b"two", qos=2)
        one, two = stay.next(payload=b"one"), stay.next(payload=b"two")
        # They make room too.
        stay.send(b"three", b"four")
        stay.client.send(m.puback(one.id, 0x80), m.pubrec(two.id, 0x97))
        stay.client.acknowledge(stay.next(payload=b"three"))
        stay.client.acknowledge(stay.next(payload=b"four"))
        stay.client.nothing()
        stay.back().nothing()


@case("what was not begun comes behind what comes again, in order [MQTT-4.6.0-5]")
def _(run):
    with Stay(run, receive_maximum=3) as stay:
        payloads = [b"%d" % n for n in range(10)]
        stay.send(*payloads)
        first = [stay.next() for _ in range(3)]
        stay.client.send(m.puback(first[0].id))
        weir.expect(stay.next().payload == b"3", "not the fourth")
        stay.back()
        got = []
        for _ in range(9):
            packet = stay.client.acknowledge(stay.next())
            got.append((packet.payload, packet.dup))
        want = [(p, n < 3) for n, p in enumerate(payloads[1:])]
        weir.expect(got == want, got)
        stay.client.nothing()


@case("a QoS 2 message that was begun is completed by its publisher later [MQTT-4.3.3-10]")
def _(run):
    with Stay(run) as stay:
        name = fresh()
        with Client(run.port, name, props=KEEP) as sender:
            sender.send(m.publish(stay.topic, b"once", 2, 5))
            sender.expect(m.PUBREC, id=5, reason=0)
        with Client(run.port, name, clean=False, props=KEEP) as sender:
            sender.send(m.publish(stay.topic, b"once", 2, 5, dup=True))
            sender.expect(m.PUBREC, id=5, reason=0)
        with Client(run.port, name, clean=False, props=KEEP) as sender:
            sender.send(m.pubrel(5))
            sender.expect(m.PUBCOMP, id=5, reason=0)
        stay.client.receive(stay.topic, b"once", qos=2)
        stay.client.expect_marker(stay.sender, stay.topic, 1)


@case("Clean Start forgets what was under way, both ways [MQTT-3.1.2-4]")
def _(run):
    with Stay(run) as stay:
        stay.send(b"x", b"y", qos=2)
        stay.next()
        stay.client.send(m.publish(stay.topic, b"mine", 2, 5))
        kinds = [stay.client.read().kind for _ in range(3)]
        weir.expect(m.PUBREC in kinds, kinds)
        stay.client.cut()
        stay.client = Client(run.port, stay.name, clean=True, props=KEEP)
        stay.client.nothing()
        stay.client.send(m.pubrel(5))
        stay.client.expect(m.PUBCOMP, id=5, reason=0x92)


@case("a message is kept for every session that subscribed to it [MQTT-4.5.0-1]")
def _(run):
    with Stay(run) as stay:
        names = [fresh() for _ in range(5)]
        for number, name in enumerate(names):
            with Client(run.port, name, props=KEEP) as client:
                client.subscribe(stay.topic, number % 3)
                client.send(m.disconnect())
                client.closed()
        stay.send(b"x", qos=2)
        for number, name in enumerate(names):
            with Client(run.port, name, clean=False, props=KEEP) as client:
                if number % 3:
                    client.receive(stay.topic, b"x", qos=number % 3)
                client.nothing()


# ---------------------------------------------------- how much at a time


@case(
    "no more are sent than the client's Receive Maximum, all come in the end "
    "[MQTT-3.3.4-9] [MQTT-4.9.0-1] [MQTT-4.9.0-2]"
)
def _(run):
    for maximum in (1, 2, 7):
        with Stay(run, receive_maximum=maximum) as stay:
            count = 20
            for number in range(count):
                stay.send(b"%d" % number, qos=1 + number % 2)
            under_way = []
            for number in range(count):
                while len(under_way) < min(maximum, count - number):
                    under_way.append(stay.next())
                stay.client.nothing()
                packet = under_way.pop(0)
                weir.expect(packet.payload == b"%d" % number, packet)
                if packet.qos == 2:
                    # PUBREC makes no room yet.
                    stay.client.send(m.pubrec(packet.id))
                    stay.client.expect(m.PUBREL, id=packet.id)
                    stay.client.nothing()
                    stay.client.send(m.pubcomp(packet.id))
                else:
                    stay.client.send(m.puback(packet.id))
                if number + 1 + len(under_way) < count:
                    under_way.append(stay.next())


@case(
    "QoS 0 and all other packets go on when the quota is used up "
    "[MQTT-3.3.4-10] [MQTT-4.9.0-3]"
)
def _(run):
    with Stay(run, receive_maximum=1) as stay:
        stay.send(b"one", b"two")
        one = stay.next(payload=b"one")
        other = fresh("t")
        client = stay.client
        weir.expect(client.subscribe(other, 0) == 0, "SUBACK")
        client.nothing()
        stay.sender.publish(other, b"zero", 0)
        client.receive(other, b"zero")
        # Its own messages are taken and acknowledged meanwhile.
        weir.expect(client.publish(fresh("t"), b"x", 1).reason == 0x10, "PUBACK")
        weir.expect(client.publish(fresh("t"), b"x", 2).reason == 0, "PUBCOMP")
        weir.expect(client.unsubscribe(other).reasons == [0], "UNSUBACK")
        client.send(m.puback(one.id))
        client.receive(stay.topic, b"two")


@case("a Receive Maximum of the last connection does not hold in the next [MQTT-4.9.0-1]")
def _(run):
    with Stay(run, receive_maximum=1) as stay:
        stay.send(b"1", b"2", b"3")
        stay.next(payload=b"1", dup=False)
        stay.props["receive_maximum"] = 3
        stay.back()
        for number, dup in ((b"1", True), (b"2", False), (b"3", False)):
            stay.next(payload=number, dup=dup)


@case("who has more under way than the server's Receive Maximum is 0x93 [MQTT-3.3.4-7]")
def _(run):
    with Client(run.port, fresh()) as client:
        maximum = client.connack.props["receive_maximum"]
        for number in range(maximum):
            client.send(m.publish(fresh("t"), b"x", 2, number + 1))
            client.expect(m.PUBREC, id=number + 1)
        # A PUBCOMP makes room, a PUBREC does not.
        client.send(m.pubrel(1))
        client.expect(m.PUBCOMP, id=1, reason=0)
        client.send(m.publish(fresh("t"), b"x", 2, 1))
        client.expect(m.PUBREC, id=1)
        client.send(m.publish(fresh("t"), b"x", 1, maximum + 1))
        client.closed(EXCEEDED)


@case("what is too large for a client counts as sent [MQTT-3.1.2-25] [MQTT-3.1.2-24]")
def _(run):
    with Stay(run, receive_maximum=1, maximum_packet_size=100) as stay:
        for qos in (0, 1, 2):
            stay.send(b"L" * 200, b"small %d" % qos, qos=qos)
            stay.client.receive(stay.topic, b"small %d" % qos, qos=qos)
        # Also when it waited, for a client that took more when it left.
        stay.client.send(m.disconnect())
        stay.client.closed()
        stay.send(b"L" * 200, b"after", qos=1)
        stay.back().receive(stay.topic, b"after")
        stay.client.nothing()
        # It does not come later either.
        stay.props.pop("maximum_packet_size")
        stay.back().nothing()


@case("a retained message too large for a client is left out [MQTT-3.1.2-24]")
def _(run):
    topics = [fresh("t") for _ in range(3)]
    with Client(run.port, fresh()) as sender:
        for topic, size in zip(topics, (10, 200, 20)):
            sender.publish(topic, b"x" * size, 1, retain=True)
        with Client(run.port, fresh(), props={"maximum_packet_size": 100}) as client:
            client.send(m.subscribe(1, *((topic, 1) for topic in topics)))
            client.expect(m.SUBACK)
            got = {client.acknowledge(client.expect(m.PUBLISH)).topic for _ in (1, 2)}
            weir.expect(got == {topics[0], topics[2]}, got)
            client.nothing()
        for topic in topics:
            sender.publish(topic, b"", 1, retain=True)


def main():
    tap = weir.Tap()
    with weir.Weir(http=None, accounts=None, durability="process") as run:
        case.run(tap, run)
    tap.done()


if __name__ == "__main__":
    main()
