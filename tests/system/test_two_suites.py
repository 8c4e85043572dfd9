#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""Two suites that bridge to each other in both directions, under flood.

Suite A has a third bridge besides, to a mosquitto that stands still for ten
seconds in the middle.  What comes from B has to go there too, so both suites
and all rings, of 64 KiB, stand behind it.  Nothing may be lost, come back to
where it came from, or be stuck when the remote goes on; who publishes to no
bridge notices nothing.
"""

import collections
import json
import threading
import time

import weir

COUNT = 1200  # of each publisher
SIZE = 500
STALL_S = 10.0
SMALL = {"capacity": "64KiB", "max_capacity": "64KiB"}
LARGE = {"max_queued_messages": 100000, "max_queued_bytes": "256MiB"}

# Goes from B to A by A's subscription alone: it waits in a session's queue at
# B, and holds nobody up.
FETCHED = "q/m"


def rules(*filters):
    return [{"filter": text, "qos": 1} for text in filters]


def bridge(name, port, forward, receive=(), **more):
    return dict(
        name=name,
        type="mqtt",
        url="mqtt://127.0.0.1:%d" % port,
        forward=rules(*forward),
        receive=rules(*receive),
        ring=SMALL,
        retry_min="50ms",
        retry_max="500ms",
        overflow="stall",
        **more
    )


class Publisher(threading.Thread):
    """COUNT numbered messages to one topic: who was told what."""

    def __init__(self, suite, topic):
        super().__init__(daemon=True)
        self.suite, self.topic = suite, topic
        self.accepted, self.refused, self.broken = [], [], None

    def run(self):
        try:
            self.connect()
            for number in range(COUNT):
                text = ("%d:" % number).ljust(SIZE, "x")
                told = self.publish(text)
                (self.accepted if told else self.refused).append(number)
        except Exception as error:  # whatever it is, the flood ends here
            self.broken = error

    def finish(self):
        self.join(60)
        weir.expect(not self.is_alive(), self.topic + ": the publisher is stuck")
        weir.expect(self.broken is None, "%s: %r" % (self.topic, self.broken))
        weir.expect(
            len(self.accepted) + len(self.refused) == COUNT, self.topic
        )


class ByMqtt(Publisher):
    def connect(self):
        self.client = self.suite.mqtt("flood-" + self.topic.replace("/", "-"))

    def publish(self, text):
        self.client.publish(self.topic, text, 1, wait=False)
        self.client.expect(weir.PUBACK, 60)
        return True


class ByHttp(Publisher):
    def connect(self):
        self.client = weir.Http(self.suite.http_port)

    def publish(self, text):
        body = json.dumps({"topic": self.topic, "payload": text, "qos": 1})
        status = self.client.request("POST", "/api/v4/mqtt/publish", body)[0]
        weir.expect(status in (200, 429), "status %d" % status)
        return status == 200


class Unrelated(threading.Thread):
    """One message after the other to a topic of no bridge."""

    def __init__(self, suite):
        super().__init__(daemon=True)
        self.client = suite.mqtt("unrelated")
        self.sent, self.slowest, self.broken = 0, 0.0, None
        self.stopping = False
        self.start()

    def run(self):
        try:
            while not self.stopping:
                begun = time.monotonic()
                self.client.publish("other/x", str(self.sent), 1)
                self.slowest = max(self.slowest, time.monotonic() - begun)
                self.sent += 1
                time.sleep(0.005)
        except Exception as error:
            self.broken = error

    def stop(self):
        self.stopping = True
        self.join(20)


class Place:
    """Somewhere that messages arrive, with all that did."""

    def __init__(self, name, port):
        self.name = name
        self.collector = weir.Collector(port, "#", qos=1)
        self.taken = 0
        self.numbers = collections.defaultdict(list)
        self.other = []

    def look(self):
        """{topic: numbers in the order of arrival}."""
        messages = self.collector.messages
        while self.taken < len(messages):
            message = messages[self.taken]
            self.taken += 1
            number = message.payload.split(b":")[0]
            if message.topic == "other/x":
                self.other.append(int(number))
            elif number.isdigit():
                self.numbers[message.topic].append(int(number))
        return self.numbers

    def heard(self, text):
        return text in self.collector.payloads()


class Scene:
    """Suites A and B, the third one's remote, and who watches where."""

    def __init__(self, tap, what, a, b, remote, topics_a, topics_b):
        self.tap, self.what = tap, what
        self.a, self.b, self.remote = a, b, remote
        self.places = {
            "A": Place("A", a.port),
            "B": Place("B", b.port),
            "third": Place("third", remote.port),
        }
        self.publishers = [
            kind(suite, topic)
            for suite, topics in ((a, topics_a), (b, topics_b))
            for kind, topic in topics
        ]

    def home(self, publisher):
        return "A" if publisher.suite is self.a else "B"

    def say(self, name):
        return self.tap.case(self.what + ": " + name)

    def wait_bridges(self):
        """Until a message of each publisher's topic arrives everywhere."""
        for number, publisher in enumerate(self.publishers):
            text = "probe %d" % number
            client = publisher.suite.mqtt("probe")

            def is_everywhere():
                client.publish(publisher.topic, text, 1)
                return all(place.heard(text) for place in self.places.values())

            weir.wait_for("bridges for " + publisher.topic, is_everywhere, pause=0.2)
            client.close()
        self.wait_drained()

    def wait_drained(self):
        def is_drained():
            rings = [self.a.rings(), self.b.rings()]
            return all(rings) and all(
                ring["used"] == 0 for suite in rings for ring in suite
            )

        weir.wait_for("all rings are empty", is_drained, 30)

    def answered(self):
        return sum(len(p.accepted) for p in self.publishers)

    def flood(self):
        unrelated = [Unrelated(suite) for suite in (self.a, self.b)]
        for publisher in self.publishers:
            publisher.start()
        weir.wait_for(
            "somebody has a quarter",
            lambda: max(len(p.accepted) for p in self.publishers) > COUNT // 4,
            40,
        )
        self.stall(unrelated)
        with self.say("no publisher is stuck"):
            for publisher in self.publishers:
                publisher.finish()
        for one in unrelated:
            one.stop()
        self.check_unrelated(unrelated)

    def stall(self, unrelated):
        before = [one.sent for one in unrelated]
        self.remote.stop()
        end = time.monotonic() + STALL_S
        blocked = False
        while time.monotonic() < end:
            blocked |= self.a.ring_is("broker→third", state="blocked")
            time.sleep(0.2)
        moved = [one.sent - was for one, was in zip(unrelated, before)]
        left = {
            p.topic: COUNT - len(p.accepted)
            for p in self.publishers
            if p.topic != FETCHED
        }
        self.remote.go_on()
        self.tap.ok(
            blocked and all(left.values()),
            self.what + ": the stalled remote holds all publishers up",
            (blocked, left),
        )
        self.tap.ok(
            all(count > 0 for count in moved),
            self.what + ": meanwhile unrelated traffic goes on in both",
            moved,
        )

    def check_unrelated(self, unrelated):
        with self.say("the unrelated traffic arrives, once and in order"):
            for one, name in zip(unrelated, "AB"):
                place = self.places[name]
                weir.expect(one.broken is None, one.broken)
                weir.wait_for(
                    "it does", lambda: place.look() and len(place.other) >= one.sent
                )
                weir.expect(place.other == list(range(one.sent)), name)
                self.tap.note(
                    "%s: %d unrelated at %s, slowest %.1f ms"
                    % (self.what, one.sent, name, one.slowest * 1e3)
                )

    def check(self, most):
        with self.say("all rings drain without anything new"):
            self.wait_drained()
        with self.say("all that was accepted is everywhere"):
            for publisher in self.publishers:
                for place in self.places.values():
                    weir.wait_for(
                        "%s at %s" % (publisher.topic, place.name),
                        lambda: set(publisher.accepted)
                        <= set(place.look()[publisher.topic]),
                    )
        with self.say("nothing that was refused is anywhere"):
            for publisher, place, got in self.arrivals():
                weir.expect(not set(publisher.refused) & set(got), place.name)
        with self.say("in order for each publisher and topic"):
            for publisher, place, got in self.arrivals():
                first_seen = list(dict.fromkeys(got))
                weir.expect(
                    first_seen == publisher.accepted,
                    "%s at %s" % (publisher.topic, place.name),
                )
        with self.say("nothing came back to where it came from"):
            for publisher, place, got in self.arrivals():
                if place.name == self.home(publisher):
                    weir.expect(got == publisher.accepted, publisher.topic)
        with self.say("nobody was cut off"):
            for place in self.places.values():
                weir.expect(place.collector.broken is None, place.name)
        self.check_copies(most)

    def arrivals(self):
        for publisher in self.publishers:
            for place in self.places.values():
                yield publisher, place, place.look()[publisher.topic]

    def check_copies(self, most):
        """Again only what a hop of "at least once" or two ways explain."""
        again = collections.Counter()
        with self.say("at most %d copies of a message anywhere" % most):
            for publisher, place, got in self.arrivals():
                again[place.name] += len(got) - len(set(got))
                copies = collections.Counter(got)
                weir.expect(
                    max(copies.values()) <= most,
                    "%s at %s: %r"
                    % (publisher.topic, place.name, copies.most_common(1)),
                )
        self.tap.note(
            "%s: %d accepted, %d refused; again at A %d, at B %d, at third %d"
            % (
                self.what,
                self.answered(),
                sum(len(p.refused) for p in self.publishers),
                again["A"],
                again["B"],
                again["third"],
            )
        )

    def close(self):
        for place in self.places.values():
            place.collector.stop()


def run(tap, what, bridges_of, topics_a, topics_b, most):
    ports = [weir.free_port(), weir.free_port()]
    keys = dict(LARGE, http={"ring": SMALL, "stall_timeout": "2s"})
    with weir.Mosquitto() as remote:
        bridges_a, bridges_b = bridges_of(*ports, remote.port)
        with weir.Weir(
            mqtt_port=ports[0], wait=False, bridges=bridges_a, **keys
        ) as a, weir.Weir(
            mqtt_port=ports[1], bridges=bridges_b, **dict(keys, http=dict(keys["http"]))
        ) as b:
            a.wait_ready()
            scene = Scene(tap, what, a, b, remote, topics_a, topics_b)
            scene.wait_bridges()
            scene.flood()
            scene.check(most)
            scene.close()


def own_topics(tap, what):
    """a/ and b/ are forwarded, p/ and q/ are received: one way for each."""

    def bridges_of(a, b, third):
        everything = ("a/#", "+/h", "b/#", "p/#", "q/#")
        return (
            [
                bridge("to-b", b, ["a/#"], ["q/#"]),
                bridge("third", third, everything),
            ],
            [bridge("to-a", a, ["b/#"], ["p/#"])],
        )

    run(
        tap,
        what,
        bridges_of,
        [(ByHttp, "a/h"), (ByMqtt, "a/m"), (ByMqtt, "p/m")],
        [(ByHttp, "b/h"), (ByMqtt, "b/m"), (ByMqtt, FETCHED)],
        most=1,
    )


def same_topics(tap, what):
    """x/ goes both ways over both bridges: only the trail ends its way."""

    def bridges_of(a, b, third):
        return (
            [
                bridge("to-b", b, ["x/#"], ["x/#"], protocol="5.0"),
                bridge("third", third, ["x/#", "+/h"], protocol="5.0"),
            ],
            [bridge("to-a", a, ["x/#"], ["x/#"], protocol="5.0")],
        )

    run(
        tap,
        what,
        bridges_of,
        [(ByHttp, "x/a/h"), (ByMqtt, "x/a/m")],
        [(ByHttp, "x/b/h"), (ByMqtt, "x/b/m")],
        most=2,
    )


def main():
    tap = weir.Tap(limit=240)
    for group in (own_topics, same_topics):
        what = group.__name__.replace("_", " ")
        with tap.case(what + ": the suites end in order"):
            group(tap, what)
    tap.done()


if __name__ == "__main__":
    main()
