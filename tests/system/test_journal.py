#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""With durability "disk": what was acknowledged is there after kill -9.

Run with one worker and with several.
"""

import signal
import struct
import threading
import time

import weir

COUNT = 3000
WINDOW = 16
QUEUED = 200000
LIMITS = {"max_queued_messages": 2 * QUEUED, "max_queued_bytes": "1GiB"}


def id_of(packet_id):
    return struct.pack(">H", packet_id)


class Peer(threading.Thread):
    """A client with a session, that comes back until it is stopped."""

    def __init__(self, suite, name):
        super().__init__(daemon=True)
        self.suite = suite
        self.name = name
        self.error = None
        self.is_stopped = False
        self.connection = None

    def stop(self):
        self.is_stopped = True
        self.join(10)
        weir.expect(self.error is None, "%s: %s" % (self.name, self.error))

    def run(self):
        deadline = time.monotonic() + 60
        while not self.is_stopped and time.monotonic() < deadline:
            try:
                self.connection = self.suite.mqtt(self.name, clean=False)
                try:
                    self.connected()
                    while not self.is_stopped:
                        self.turn()
                finally:
                    self.connection.close()
            except (OSError, EOFError):
                time.sleep(0.02)
            except AssertionError as error:
                if "no packet" not in str(error):
                    self.error = error
                    return

    def send(self, kind, packet_id, flags=0):
        self.connection.send(weir.packet(kind, flags, id_of(packet_id)))


class Publisher(Peer):
    """Numbers, in order, a window of them at a time; sent again as they were."""

    def __init__(self, suite, topic, qos, count):
        super().__init__(suite, "pub-%d" % qos)
        self.topic, self.qos, self.count = topic, qos, count
        self.next = 0
        self.waiting = {}  # packet id: number; None: PUBREC came
        self.acknowledged = 0

    def publish(self, packet_id, dup):
        self.connection.send(
            weir.publish_packet(
                self.topic, str(self.waiting[packet_id]), self.qos, packet_id, dup=dup
            )
        )

    def connected(self):
        for packet_id, number in self.waiting.items():
            if number is None:
                self.send(weir.PUBREL, packet_id, 2)
            else:
                self.publish(packet_id, True)

    def turn(self):
        while self.next < self.count and len(self.waiting) < WINDOW:
            packet_id = 1 + self.next % 65535
            self.waiting[packet_id] = self.next
            self.next += 1
            self.publish(packet_id, False)
        if not self.waiting:
            time.sleep(0.01)
            return
        kind, _, body = self.connection.read(0.5)
        packet_id = struct.unpack(">H", body[:2])[0]
        if kind == weir.PUBREC:
            self.waiting[packet_id] = None
            self.send(weir.PUBREL, packet_id, 2)
        elif self.waiting.pop(packet_id, self) is not self:
            self.acknowledged += 1

    def is_done(self):
        weir.expect(self.error is None, self.error)
        return self.acknowledged == self.count


class Subscriber(Peer):
    """Keeps its side of QoS 1 and 2, and all that it got for the first time."""

    def __init__(self, suite, name, topic, qos):
        super().__init__(suite, name)
        self.topic, self.qos = topic, qos
        self.is_subscribed = False
        self.got = []
        self.again = 0
        self.known = set()  # QoS 2 identifiers, up to PUBREL

    def connected(self):
        if not self.connection.session_present:
            weir.expect(not self.is_subscribed, "the session is gone")
            self.connection.subscribe(self.topic, self.qos)
            self.is_subscribed = True

    def turn(self):
        kind, flags, body = self.connection.read(0.5)
        if kind == weir.PUBREL:
            packet_id = struct.unpack(">H", body[:2])[0]
            self.known.discard(packet_id)
            self.send(weir.PUBCOMP, packet_id)
            return
        message = weir.Message(flags, body, 4)
        if message.qos == 1:
            self.got.append(int(message.payload))
            self.send(weir.PUBACK, message.id)
            return
        if message.id in self.known:
            self.again += 1
        else:
            self.known.add(message.id)
            self.got.append(int(message.payload))
        self.send(weir.PUBREC, message.id)


def kill_broker(suite):
    pid = suite.pid("weir-broker")
    weir.kill(pid, signal.SIGKILL)
    weir.wait_for(
        "the broker is back",
        lambda: [p for p in suite.pids("weir-broker") if p != pid],
    )


def disk(**more):
    return weir.Weir(durability="disk", **LIMITS, **more)


def under_way(tap, qos):
    with disk() as suite:
        online = Subscriber(suite, "online", "n", qos)
        online.start()
        weir.wait_for("it is subscribed", lambda: online.is_subscribed)
        offline = suite.mqtt("offline", clean=False)
        offline.subscribe("n", qos)
        offline.close()
        publisher = Publisher(suite, "n", qos, COUNT)
        publisher.start()
        for part in (1, 2, 3):
            weir.wait_for(
                "part of it is acknowledged",
                lambda: publisher.acknowledged > COUNT * part // 4,
            )
            kill_broker(suite)
        weir.wait_for("all is acknowledged", publisher.is_done, 60)
        publisher.stop()
        offline = Subscriber(suite, "offline", "n", qos)
        offline.is_subscribed = True
        offline.start()
        for peer in (online, offline):
            weir.wait_for(peer.name + " has the last", lambda: COUNT - 1 in peer.got)
            peer.stop()
        for peer in (online, offline):
            with tap.case("QoS %d, %s: all, in order, over 3 kills" % (qos, peer.name)):
                first = list(dict.fromkeys(peer.got))
                weir.expect(
                    first == list(range(COUNT)),
                    "%d of %d" % (len(first), COUNT),
                )
                tap.note("%d came again" % (len(peer.got) - len(first) + peer.again))
                if qos == 2:
                    weir.expect(len(peer.got) == COUNT, "a duplicate")


def next_publish(client):
    kind, flags, body = client.read()
    weir.expect(kind == weir.PUBLISH, "packet type %d" % kind)
    return weir.Message(flags, body, 4)


def in_flight(tap):
    with disk() as suite:
        sender = suite.mqtt("sender")
        client = suite.mqtt("flight", clean=False)
        client.subscribe("f", 2)
        for text, qos in (("a", 1), ("b", 2), ("c", 2), ("d", 1)):
            sender.publish("f", text, qos)
        first = [next_publish(client) for _ in range(4)]
        client.send(weir.packet(weir.PUBREC, 0, id_of(first[1].id)))
        weir.expect(client.expect(weir.PUBREL) == id_of(first[1].id), "PUBREL")
        sender.close()
        client.close()
        kill_broker(suite)
        suite.wait_ready()
        client = suite.mqtt("flight", clean=False)
        with tap.case("what was in flight comes again, under its identifier"):
            weir.expect(client.session_present, "the session is gone")
            packets = [client.read() for _ in range(4)]
            released = [p[2] for p in packets if p[0] == weir.PUBREL]
            weir.expect(
                released == [id_of(first[1].id)],
                "[MQTT-4.4.0-1] PUBREL of %r" % released,
            )
            again = [
                weir.Message(flags, body, 4)
                for kind, flags, body in packets
                if kind == weir.PUBLISH
            ]
            weir.expect(
                [m.payload for m in again] == [b"a", b"c", b"d"],
                [m.payload for m in again],
            )
            weir.expect(all(m.dup for m in again), "[MQTT-3.3.1-1] DUP")
            weir.expect(
                [m.id for m in again] == [first[i].id for i in (0, 2, 3)],
                "[MQTT-4.4.0-1] other packet identifiers",
            )
        with tap.case("and ends as if nothing had been"):
            client.send(weir.packet(weir.PUBCOMP, 0, id_of(first[1].id)))
            client.send(weir.packet(weir.PUBACK, 0, id_of(again[0].id)))
            client.send(weir.packet(weir.PUBACK, 0, id_of(again[2].id)))
            client.send(weir.packet(weir.PUBREC, 0, id_of(again[1].id)))
            client.expect(weir.PUBREL)
            client.send(weir.packet(weir.PUBCOMP, 0, id_of(again[1].id)))
            client.ping()
        client.close()


def unfinished(tap):
    """A publisher's QoS 2 message, with the broker killed at each step."""
    with disk() as suite:
        taker = suite.mqtt("taker", clean=False)
        taker.subscribe("u", 1)
        taker.close()
        sender = suite.mqtt("halfway", clean=False)
        sender.send(weir.publish_packet("u", "once", 2, 7))
        sender.expect(weir.PUBREC)
        sender.close()
        kill_broker(suite)
        suite.wait_ready()
        sender = suite.mqtt("halfway", clean=False)
        with tap.case("a QoS 2 message sent again after a kill is not a new one"):
            weir.expect(sender.session_present, "the session is gone")
            sender.send(weir.publish_packet("u", "once", 2, 7, dup=True))
            sender.expect(weir.PUBREC)
            sender.send(weir.packet(weir.PUBREL, 2, id_of(7)))
            sender.expect(weir.PUBCOMP)
        sender.close()
        kill_broker(suite)
        suite.wait_ready()
        sender = suite.mqtt("halfway", clean=False)
        with tap.case("and once it was completed, its identifier is free"):
            sender.send(weir.publish_packet("u", "twice", 2, 7))
            sender.expect(weir.PUBREC)
            sender.send(weir.packet(weir.PUBREL, 2, id_of(7)))
            sender.expect(weir.PUBCOMP)
            taker = suite.mqtt("taker", clean=False)
            got = [next_publish(taker).payload for _ in range(2)]
            weir.expect(got == [b"once", b"twice"], got)
            weir.expect(taker.is_silent(0.3), "a third")
            taker.close()
        sender.close()


def fill(suite, start, end):
    """Publish these numbers at QoS 1, many at a time."""
    client = suite.mqtt("filler")
    sent = acknowledged = start
    while acknowledged < end:
        upto = min(end, acknowledged + 500)
        client.send(
            b"".join(
                weir.publish_packet("q", "%d" % n, 1, 1 + n % 65535)
                for n in range(sent, upto)
            )
        )
        sent = upto
        while acknowledged < sent:
            client.expect(weir.PUBACK, 30)
            acknowledged += 1
    client.close()


def many_wait(tap):
    with disk() as suite:
        taker = suite.mqtt("late", clean=False)
        taker.subscribe("q", 1)
        taker.close()
        fill(suite, 0, 2000)
        before = weir.resident_kib(suite.pid("weir-broker"))
        with tap.case("%d messages wait for an absent client on the disk" % QUEUED):
            fill(suite, 2000, QUEUED)
            grown = weir.resident_kib(suite.pid("weir-broker")) - before
            tap.note("resident memory has grown by %d KiB" % grown)
            weir.expect(grown < 24 << 10, "%d KiB" % grown)
        kill_broker(suite)
        suite.wait_ready()
        with tap.case("and come in order, from the next life"):
            taker = suite.mqtt("late", clean=False)
            weir.expect(taker.session_present, "the session is gone")
            for number in range(QUEUED):
                message = next_publish(taker)
                weir.expect(
                    message.payload == b"%d" % number,
                    "%r instead of %d" % (message.payload, number),
                )
                taker.send(weir.packet(weir.PUBACK, 0, id_of(message.id)))
            grown = weir.resident_kib(suite.pid("weir-broker")) - before
            tap.note("resident memory, then: %d KiB more" % grown)
            weir.expect(grown < 48 << 10, "%d KiB" % grown)
            weir.expect(taker.is_silent(0.3), "one more")
            taker.close()


def try_to_publish(sender, payload):
    """QoS 2, MQTT 5.0: is it taken?"""
    packet_id = sender.new_id()
    sender.send(weir.publish_packet("full", payload, 2, packet_id, version=5))
    answer = sender.expect(weir.PUBREC)
    if len(answer) > 2 and answer[2] >= 0x80:
        weir.expect(answer[2] == 0x97, "%#x" % answer[2])
        return False
    sender.send(weir.packet(weir.PUBREL, 2, id_of(packet_id)))
    sender.expect(weir.PUBCOMP)
    return True


def full(tap):
    """The disk's share is used up by what waits for one client."""
    journal = {"max_size": "1MiB", "segment_size": "64KiB"}
    with disk(max_packet_size="4KiB", journal=journal) as suite:
        taker = suite.mqtt("taker", clean=False)
        taker.subscribe("full", 2)
        taker.close()
        sender = suite.mqtt("sender", version=5)
        older = suite.mqtt("older")
        taken = 0
        with tap.case("a full journal refuses, and says so to MQTT 5.0"):
            while try_to_publish(sender, b"%06d" % taken + b"." * 1000):
                taken += 1
                weir.expect(taken < 2000, "it is never full")
            weir.expect(taken > 100, "only %d" % taken)
            older.send(weir.publish_packet("full", "x", 1, 1))
            weir.expect(older.is_closed(), "MQTT 3.1.1 stays open")
        with tap.case("what needs no disk goes on"):
            watcher = suite.mqtt("watcher")
            watcher.subscribe("full", 0)
            sender.publish("full", "free", 0)
            weir.expect(watcher.receive().payload == b"free", "another")
            watcher.close()
        kill_broker(suite)
        suite.wait_ready()
        with tap.case("the client comes for it, and there is room again"):
            taker = suite.mqtt("taker", clean=False)
            weir.expect(taker.session_present, "the session is gone")
            for number in range(taken):
                payload = taker.receive().payload
                weir.expect(payload.startswith(b"%06d" % number), payload[:6])
            sender = suite.mqtt("sender", version=5)
            weir.wait_for("there is room", lambda: try_to_publish(sender, "new"))
            weir.expect(taker.receive().payload == b"new", "another")


def main():
    tap = weir.Tap(limit=280)
    under_way(tap, 1)
    under_way(tap, 2)
    in_flight(tap)
    unfinished(tap)
    many_wait(tap)
    full(tap)
    tap.done()


if __name__ == "__main__":
    main()
