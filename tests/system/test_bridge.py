#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""Bridges from outside: both ways, no loops, reconnect, two Weirs."""

import signal
import threading
import time

import weir


def bridge(port, name="cloud", **more):
    settings = {
        "name": name,
        "type": "mqtt",
        "url": "mqtt://127.0.0.1:%d" % port,
        "forward": [{"filter": "bridge/#", "qos": 1}],
        "receive": [{"filter": "cmd/#", "qos": 1}],
        "retry_min": "50ms",
        "retry_max": "500ms",
        "overflow": "stall",
    }
    settings.update(more)
    return settings


def receives(suite, remote, text="is it there?"):
    """Does a message from the remote get here?  The subscription may be new."""
    watcher = weir.Collector(suite.port, "cmd/#", qos=1)
    sender = weir.Mqtt(remote, "sender")

    def here():
        sender.publish("cmd/probe", text, 1)
        return text in watcher.payloads()

    weir.wait_for("the bridge has subscribed", here, pause=0.1)
    sender.close()
    watcher.stop()


def in_order(numbers, qos):
    """0 to 199, of which every third has this QoS."""
    want = [i for i in range(200) if i % 3 == qos]
    weir.expect([i for i in numbers if i % 3 == qos] == want, (qos, numbers))


def both_ways(tap, protocol):
    with weir.Mosquitto() as remote, weir.Weir(
        bridges=[bridge(remote.port, protocol=protocol)]
    ) as suite:
        there = weir.Collector(remote.port, "#", qos=2)
        here = weir.Collector(suite.port, "#", qos=2)
        with tap.case(protocol + ": what matches is forwarded, in order, once"):
            client = suite.mqtt("local")
            for number in range(200):
                client.publish("bridge/n", str(number), number % 3)
                client.publish("elsewhere/n", str(number), 0)
            there.wait_count(200)
            got = [m for m in there.messages if not m.topic.startswith("cmd")]
            weir.expect({m.topic for m in got} == {"bridge/n"}, "topics")
            # QoS 0 does not wait for the journal: order holds within a QoS.
            numbers = [int(m.payload) for m in got]
            weir.expect(len(numbers) == 200, "%d messages" % len(numbers))
            for qos in range(3):
                in_order(numbers, qos)
        with tap.case(protocol + ": HTTP publishes are forwarded"):
            weir.expect(suite.publish("bridge/h", "by http") == 200, "status")
            weir.wait_for("it arrives", lambda: "by http" in there.payloads())
        with tap.case(protocol + ": what the remote sends is received, in order"):
            receives(suite, remote.port)
            sender = weir.Mqtt(remote.port, "sender-2")
            for number in range(200):
                sender.publish("cmd/n", str(number), number % 3)
                sender.publish("unwanted/n", str(number), 0)
            weir.wait_for(
                "all are here",
                lambda: here.broken
                or sum(m.topic == "cmd/n" for m in list(here.messages)) >= 200,
            )
            got = [int(m.payload) for m in here.messages if m.topic == "cmd/n"]
            # The remote routes QoS 2 at PUBREL: order holds within a QoS.
            for qos in range(3):
                in_order(got, qos)
            weir.expect(
                not [m for m in here.messages if m.topic.startswith("unwanted")],
                "an unwanted topic",
            )
        with tap.case(protocol + ": nothing came back to where it was sent from"):
            for collector, topic, count in ((there, "bridge/n", 200), (here, "cmd/n", 200)):
                seen = [m for m in collector.messages if m.topic == topic]
                weir.expect(len(seen) == count, "%s: %d" % (topic, len(seen)))
        there.stop()
        here.stop()


def reconnect(tap):
    with weir.Mosquitto() as remote, weir.Weir(
        bridges=[bridge(remote.port)]
    ) as suite:
        there = weir.Collector(remote.port, "bridge/#", qos=1)
        client = suite.mqtt("local")
        client.publish("bridge/a", "before", 1)
        there.wait_count(1)
        remote.kill()
        with tap.case("while the remote is away, publishing is accepted into the ring"):
            for number in range(50):
                client.publish("bridge/a", "away %d" % number, 1)
        remote.start()
        with tap.case("when it is back, all of that arrives, in order"):
            # The remote forgot its subscribers: whoever is late misses some.
            # The bridge's own probe topic tells when it is connected.
            again = weir.Collector(remote.port, "bridge/#", qos=1)
            weir.wait_for(
                "the ring is empty",
                lambda: suite.ring_is("broker→cloud", used=0),
            )
            weir.expect(suite.publish("bridge/a", "after") == 200, "status")
            weir.wait_for("the last arrives", lambda: "after" in again.payloads())
            got = [p for p in again.payloads() if p.startswith("away")]
            weir.expect(
                got == ["away %d" % i for i in range(50 - len(got), 50)],
                "order: %r" % got,
            )
        with tap.case("and what the remote sends is received again"):
            receives(suite, remote.port, "again?")
        pid = suite.pid("weir-bridged", "cloud")
        with tap.case("a killed bridge comes back and goes on"):
            weir.kill(pid, signal.SIGKILL)
            weir.expect(suite.publish("bridge/a", "killed") == 200, "status")
            weir.wait_for("it arrives", lambda: "killed" in again.payloads())
            weir.expect(suite.pid("weir-bridged", "cloud") != pid, "the same process")
        with tap.case("the client's connection never noticed"):
            client.ping()
        again.stop()


def rules(tap):
    forward = [
        {"filter": "+/temp", "qos": 0, "local_prefix": "in/", "remote_prefix": "out/"},
        {"filter": "bridge/#", "qos": 2},
    ]
    with weir.Mosquitto() as remote, weir.Weir(
        bridges=[bridge(remote.port, forward=forward)]
    ) as suite:
        there = weir.Collector(remote.port, "#", qos=2)
        with tap.case("prefixes are exchanged"):
            suite.publish("in/a/temp", "warm")
            weir.wait_for("it arrives", lambda: there.messages)
            weir.expect(there.messages[0].topic == "out/a/temp", there.messages[0].topic)
        with tap.case("a rule's QoS is the one used towards the remote"):
            weir.expect(there.messages[0].qos == 0, there.messages[0].qos)
            suite.publish("bridge/x", "two", qos=0)
            there.wait_count(2)
            weir.expect(there.messages[1].qos == 2, there.messages[1].qos)
        there.stop()


def two_weirs(tap):
    """Each bridges the same topics to the other, both ways."""
    one_port = weir.free_port()
    everything = [{"filter": "shared/#", "qos": 1}]
    with weir.Weir(http=None) as other:
        settings = bridge(other.port, forward=everything, receive=everything)
        with weir.Weir(mqtt_port=one_port, bridges=[settings]) as one:
            here = weir.Collector(one.port, "shared/#", qos=1)
            there = weir.Collector(other.port, "shared/#", qos=1)
            left, right = one.mqtt("left"), other.mqtt("right")
            with tap.case("two Weirs, one bridge both ways: the bridge is up"):

                def through():
                    right.publish("shared/probe", "probe", 1)
                    left.publish("shared/probe", "probe", 1)
                    return len(here.messages) > 2 and len(there.messages) > 2

                weir.wait_for("messages pass", through, pause=0.2)
            with tap.case("two Weirs: each message arrives once on either side"):
                for number in range(300):
                    left.publish("shared/l", "l%d" % number, 1)
                    right.publish("shared/r", "r%d" % number, 1)
                want = {"%s%d" % (s, i) for s in "lr" for i in range(300)}
                for collector in (here, there):
                    weir.wait_for(
                        "all are there", lambda: want <= set(collector.payloads())
                    )
                # A loop would go on for ever: a last round trip settles it.
                left.publish("shared/end", "end", 1)
                weir.wait_for("the end", lambda: "end" in there.payloads())
                for collector in (here, there):
                    got = [p for p in collector.payloads() if p in want]
                    weir.expect(len(got) == 600, "%d of 600" % len(got))
            here.stop()
            there.stop()


# A collector that falls behind shall not lose what it is to count.
QUEUE = {"max_queued_messages": 100000, "max_queued_bytes": "256MiB"}


def crossed_weirs(tap):
    """Each has a bridge to the other; full rings must not wait in a circle."""
    ring = {"capacity": "64KiB", "max_capacity": "64KiB"}
    ports = [weir.free_port(), weir.free_port()]
    count, body = 1500, "x" * 500

    def settings(port, topic):
        rule = [{"filter": topic + "/#", "qos": 1}]
        return [bridge(port, forward=rule, receive=[], ring=ring)]

    with weir.Weir(
        mqtt_port=ports[0],
        http=None,
        wait=False,
        bridges=settings(ports[1], "a"),
        **QUEUE
    ) as one, weir.Weir(
        mqtt_port=ports[1], http=None, bridges=settings(ports[0], "b"), **QUEUE
    ) as two:
        one.wait_ready()
        collectors = [
            weir.Collector(two.port, "a/#", qos=1),
            weir.Collector(one.port, "b/#", qos=1),
        ]

        def publish(suite, topic):
            client = suite.mqtt("flood-" + topic)
            for number in range(count):
                client.publish(topic + "/x", "%d:%s" % (number, body), 1)

        with tap.case("two Weirs that bridge to each other go on with full rings"):
            threads = [
                threading.Thread(target=publish, args=pair, daemon=True)
                for pair in ((one, "a"), (two, "b"))
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)
                weir.expect(not thread.is_alive(), "a publisher is stuck")
            for collector in collectors:
                collector.wait_count(count)
                got = [int(p.split(":")[0]) for p in collector.payloads()]
                weir.expect(got == list(range(count)), "%d of %d" % (len(got), count))
        for collector in collectors:
            collector.stop()


def doubly_crossed_weirs(tap):
    """Each bridges the same topics to the other, both ways: two bridges."""
    ring = {"capacity": "64KiB", "max_capacity": "64KiB"}
    rule = [{"filter": "x/#", "qos": 1}]
    ports = [weir.free_port(), weir.free_port()]
    count, body = 600, "x" * 500

    def settings(port):
        return [
            bridge(port, protocol="5.0", forward=rule, receive=rule, ring=ring)
        ]

    def at_rest(suites):
        """Has nothing moved through any ring within a second?"""
        before = [s.ring("broker→cloud")["messages_in"] for s in suites]
        time.sleep(1)
        return before == [s.ring("broker→cloud")["messages_in"] for s in suites]

    with weir.Weir(
        mqtt_port=ports[0], http=None, wait=False, bridges=settings(ports[1]), **QUEUE
    ) as one, weir.Weir(
        mqtt_port=ports[1], http=None, bridges=settings(ports[0]), **QUEUE
    ) as two:
        one.wait_ready()
        collectors = [weir.Collector(s.port, "x/#", qos=1) for s in (one, two)]
        clients = [one.mqtt("left"), two.mqtt("right")]

        def through():
            for client in clients:
                client.publish("x/probe", "probe", 1)
            return all(len(c.messages) > 2 for c in collectors)

        with tap.case("two bridges, same topics both ways: messages pass"):
            weir.wait_for("messages pass", through, pause=0.2)

        def publish(client, name):
            for number in range(count):
                client.publish("x/" + name, "%s%d:%s" % (name, number, body), 1)

        with tap.case("two bridges, same topics both ways: nobody is stuck"):
            threads = [
                threading.Thread(target=publish, args=pair, daemon=True)
                for pair in zip(clients, "lr")
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)
                weir.expect(not thread.is_alive(), "a publisher is stuck")
        with tap.case("two bridges, same topics both ways: all is on both sides"):
            want = {"%s%d" % (s, i) for s in "lr" for i in range(count)}
            for collector in collectors:
                weir.wait_for(
                    "all are there",
                    lambda: want <= {p.split(":")[0] for p in collector.payloads()},
                )
        with tap.case("two bridges, same topics both ways: it comes to rest"):
            weir.wait_for("it does", lambda: at_rest((one, two)), 10)
            for collector in collectors:
                got = [p.split(":")[0] for p in collector.payloads()]
                # Two ways lead across: each message comes over twice at most.
                most = max(got.count(name) for name in want)
                tap.note("most copies of one message: %d" % most)
                weir.expect(most <= 2, "%d copies of a message" % most)
        for collector in collectors:
            collector.stop()


def main():
    tap = weir.Tap()
    for name, group, arguments in (
        ("MQTT 3.1.1", both_ways, ["3.1.1"]),
        ("MQTT 5.0", both_ways, ["5.0"]),
        ("reconnect", reconnect, []),
        ("rules", rules, []),
        ("two Weirs", two_weirs, []),
        ("crossed Weirs", crossed_weirs, []),
        ("doubly crossed Weirs", doubly_crossed_weirs, []),
    ):
        with tap.case(name + ": the suite starts, and ends in order"):
            group(tap, *arguments)
    tap.done()


if __name__ == "__main__":
    main()
