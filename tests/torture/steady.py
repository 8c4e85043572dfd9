# SPDX-License-Identifier: Apache-2.0

"""steady - MQTT clients that keep their side of every promise.

They come back whenever the broker does, send again what was not acknowledged
[MQTT-4.4.0-1], keep the state that QoS 2 asks for on both sides, and note what
they were promised and what they were given.  A session that the broker has
lost is noted too, and so is a message that is corrupt.
"""

import collections
import json
import os
import random
import struct
import sys
import threading
import time
import zlib

sys.path.insert(
    0,
    os.path.join(
        os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "system"
    ),
)

import weir  # noqa: E402

PATH = "/api/v4/mqtt/publish"
LIMIT = 60


def payload_of(name, number):
    text = "%s %d " % (name, number) + "abcdefgh" * (number * 37 % 40)
    return text + " %08x" % zlib.crc32(text.encode())


def parse(payload):
    """(name, number) of a whole payload; None for another one."""
    text, _, check = payload.decode(errors="replace").rpartition(" ")
    if "%08x" % zlib.crc32(text.encode()) != check:
        return None
    name, number = text.split(" ")[:2]
    return name, int(number)


class Client(threading.Thread):
    """A persistent session that comes back until it is told to end."""

    def __init__(self, port, name, will=None):
        super().__init__(daemon=True)
        self.port = port
        self.client_id = name
        self.will = will
        self.was_there = False
        self.lost_sessions = 0
        self.connects = 0
        self.is_ending = False
        self.wrong = []

    def run(self):
        while not self.is_ending:
            try:
                self.connected()
            except (OSError, EOFError, IndexError, struct.error):
                time.sleep(0.01)
            except AssertionError as error:
                if "no packet" not in str(error):
                    self.wrong.append(str(error))
                time.sleep(0.01)

    def connected(self):
        link = weir.Mqtt(
            self.port, self.client_id, clean=False, keepalive=0, will=self.will
        )
        try:
            if link.return_code != 0:
                time.sleep(0.05)
                return
            self.connects += 1
            if self.was_there and not link.session_present:
                self.lost_sessions += 1
            self.begin(link, link.session_present)
            while not self.is_ending:
                self.turn(link)
            link.close()
        finally:
            link.sock.close()

    def packet(self, link, seconds):
        """The next packet, or None."""
        try:
            return link.read(seconds)
        except AssertionError:
            return None

    def end(self, seconds=30):
        self.is_ending = True
        self.join(seconds)
        weir.expect(not self.is_alive(), self.client_id + " does not end")


class Publisher(Client):
    """Numbers 1, 2, 3 ... to one topic; now and then a retained one."""

    WINDOW = 8
    PAUSE_S = 0.002  # a flood would make it a test of those who read it
    RETAIN_EVERY = 25

    def __init__(self, port, name, qos, topic, retained):
        super().__init__(port, name)
        self.qos = qos
        self.topic = topic
        self.retained = retained
        self.sent = 0
        self.accepted = set()
        self.retained_accepted = 0
        self.under_way = {}  # packet id -> [number, is retained, PUBREC came]
        self.is_paused = False

    def begin(self, link, present):
        if not present:
            # Nothing is known there: all is new, but for what was received.
            self.under_way = {
                i: what for i, what in self.under_way.items() if not what[2]
            }
        self.was_there = True
        for packet_id, (number, is_retained, received) in self.under_way.items():
            if received:
                link.send(weir.packet(weir.PUBREL, 2, struct.pack(">H", packet_id)))
            else:
                self.publish(link, packet_id, number, is_retained, True)

    def publish(self, link, packet_id, number, is_retained, again):
        link.send(
            weir.publish_packet(
                self.retained if is_retained else self.topic,
                payload_of(self.client_id, number),
                self.qos,
                packet_id,
                retain=is_retained,
                dup=again,
            )
        )

    def next_packet_id(self, link):
        while True:
            packet_id = link.new_id()
            if packet_id not in self.under_way:
                return packet_id

    def turn(self, link):
        while len(self.under_way) < self.WINDOW and not self.is_paused:
            self.sent += 1
            is_retained = self.sent % self.RETAIN_EVERY == 0
            packet_id = self.next_packet_id(link)
            self.under_way[packet_id] = [self.sent, is_retained, False]
            self.publish(link, packet_id, self.sent, is_retained, False)
            time.sleep(self.PAUSE_S)
        got = self.packet(link, 0.2)
        if got is None:
            return
        kind, _, body = got
        packet_id = struct.unpack(">H", body[:2])[0]
        if packet_id not in self.under_way:
            return
        if kind == weir.PUBREC:
            self.note(packet_id)
            self.under_way[packet_id][2] = True
            link.send(weir.packet(weir.PUBREL, 2, struct.pack(">H", packet_id)))
        elif kind in (weir.PUBACK, weir.PUBCOMP):
            self.note(packet_id)
            del self.under_way[packet_id]

    def note(self, packet_id):
        number, is_retained, _ = self.under_way[packet_id]
        if is_retained:
            self.retained_accepted = max(self.retained_accepted, number)
        else:
            self.accepted.add(number)

    def settle(self, seconds):
        """Send no more, and wait until all that was sent is acknowledged."""
        self.is_paused = True
        weir.wait_for(
            self.client_id + " is acknowledged", lambda: not self.under_way, seconds
        )


class Subscriber(Client):
    """Keeps what it is given, in order; QoS 2 once."""

    def __init__(self, port, name, qos, topic_filter):
        super().__init__(port, name)
        self.qos = qos
        self.filter = topic_filter
        self.got = {}  # publisher -> numbers, as they came
        self.seen = {}  # publisher -> the set of them
        self.texts = []  # (topic, payload) of what has no number
        self.held = set()  # QoS 2: packet ids received, not released
        self.is_subscribed = threading.Event()

    def begin(self, link, present):
        if not present:
            self.held.clear()
            granted = link.subscribe(self.filter, self.qos)
            weir.expect(granted == self.qos, "granted %d" % granted)
        self.was_there = True
        self.is_subscribed.set()

    def turn(self, link):
        got = self.packet(link, 0.2)
        if got is None:
            return
        kind, flags, body = got
        if kind == weir.PUBREL:
            self.held.discard(struct.unpack(">H", body[:2])[0])
            link.send(weir.packet(weir.PUBCOMP, 0, body[:2]))
            return
        if kind != weir.PUBLISH:
            return
        message = weir.Message(flags, body, 4)
        if message.qos == 2:
            if message.id not in self.held:
                self.held.add(message.id)
                self.keep(message)
            link.send(weir.packet(weir.PUBREC, 0, struct.pack(">H", message.id)))
        else:
            self.keep(message)
            if message.qos == 1:
                link.send(
                    weir.packet(weir.PUBACK, 0, struct.pack(">H", message.id))
                )

    def keep(self, message):
        if message.topic.startswith("will/"):
            self.texts.append((message.topic, message.payload))
            return
        what = parse(message.payload)
        if what is None:
            self.wrong.append("corrupt: %.60r" % message.payload)
            return
        if message.retain:
            return
        self.got.setdefault(what[0], []).append(what[1])
        self.seen.setdefault(what[0], set()).add(what[1])

    def count(self):
        return sum(len(numbers) for numbers in self.got.values())


class Mortal(Client):
    """Has a will, and does nothing else."""

    def __init__(self, port, name):
        super().__init__(port, name, will=("will/" + name, "gone", 1, False))

    def begin(self, link, present):
        self.was_there = True

    def turn(self, link):
        self.packet(link, 0.5)


class HttpPublisher(threading.Thread):
    """Numbers by HTTP, each until it is accepted."""

    def __init__(self, suite, name, topic):
        super().__init__(daemon=True)
        self.suite = suite
        self.name_ = name
        self.topic = topic
        self.accepted = set()
        self.sent = 0
        self.is_ending = False

    def run(self):
        http = None
        number = 1
        while not self.is_ending:
            text = payload_of(self.name_, number)
            body = json.dumps({"topic": self.topic, "payload": text, "qos": 1})
            self.sent = number
            try:
                http = http or weir.Http(self.suite.http_port)
                status = http.request("POST", PATH, body)[0]
            except (OSError, EOFError, ValueError, IndexError):
                http = None
                status = 0
            if status == 200:
                self.accepted.add(number)
                number += 1
            else:
                time.sleep(0.02)

    def end(self):
        self.is_ending = True
        self.join(30)


def unordered(numbers):
    """How often a number comes first after a greater one did."""
    seen, greatest, count = set(), 0, 0
    for number in numbers:
        if number not in seen:
            seen.add(number)
            count += number < greatest
            greatest = max(greatest, number)
    return count


def repeated(numbers):
    """Those that came more than once."""
    return [n for n, count in collections.Counter(numbers).items() if count > 1]


def retained_number(port, topic):
    """The number that a new subscriber gets as retained; 0: none."""
    link = weir.Mqtt(port, "look-%x" % random.getrandbits(32))
    try:
        link.subscribe(topic, 1)
        while True:
            message = link.receive(2)
            if message.retain:
                what = parse(message.payload)
                return what[1] if what else -1
    except AssertionError:
        return 0
    finally:
        link.close()


def stale_retained(publisher):
    """What a new subscriber gets is as new as acknowledged; else, in words."""
    promised = publisher.retained_accepted
    number = retained_number(publisher.port, publisher.retained)
    if number >= promised:
        return []
    return ["%s: %d of %d" % (publisher.client_id, number, promised)]


class Cast:
    """All who take part: who publishes, by MQTT and HTTP, and who listens."""

    def __init__(self, publishers, http, there, away):
        self.publishers = publishers
        self.http = http
        self.there = there
        self.away = away  # subscribers that leave, and come back in the end

    def begin(self):
        for client in self.there + self.away:
            client.start()
            weir.expect(
                client.is_subscribed.wait(10), client.client_id + " subscribes"
            )
        for client in self.away:
            client.end()
        for client in self.publishers + self.http:
            client.start()

    def come_back(self):
        """Those that were away get their messages."""
        back = [
            Subscriber(one.port, one.client_id, one.qos, one.filter)
            for one in self.away
        ]
        for one in back:
            one.was_there = True
            one.start()
        self.away = back

    def clients(self):
        return self.publishers + self.there + self.away

    def sources(self):
        """Name, QoS and accepted numbers of each who publishes."""
        for one in self.publishers:
            yield one.client_id, one.qos, one.accepted
        for one in self.http:
            yield one.name_, 1, one.accepted

    def accepted(self):
        return sum(len(numbers) for _, _, numbers in self.sources())

    def goes_on(self, more=1):
        """Each who publishes has so many more acknowledged."""
        before = [len(numbers) for _, _, numbers in self.sources()]
        weir.wait_for(
            "all who publish go on",
            lambda: all(
                len(numbers) >= count + more
                for (_, _, numbers), count in zip(self.sources(), before)
            ),
            LIMIT,
        )

    def settle(self):
        """Send no more, and wait until all that was sent is acknowledged."""
        for one in self.http:
            one.end()
        for one in self.publishers:
            one.settle(LIMIT)

    def end(self):
        for client in self.clients():
            if client.is_alive():
                client.end()


class Numbers:
    """What came to a Collector: the numbers of each who publishes."""

    def __init__(self, collector):
        self.collector = collector
        self.taken = 0
        self.got = {}

    def of(self, name):
        messages = self.collector.messages
        while self.taken < len(messages):
            what = parse(messages[self.taken].payload)
            self.taken += 1
            if what:
                self.got.setdefault(what[0], []).append(what[1])
        return self.got.get(name, [])
