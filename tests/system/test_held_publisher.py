#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""A publisher to a stalled bridge is held, and nobody else is.

One worker, so that all are neighbours on one thread.
"""

import struct
import time

import weir

RING = {"capacity": "64KiB", "max_capacity": "64KiB"}
PAYLOAD = "x" * 1000


def fill(client, topic, qos=1, most=20000):
    """Publish until no acknowledgement comes; (sent, acknowledged)."""
    want = weir.PUBACK if qos == 1 else weir.PUBREC
    for number in range(most):
        text = "%06d" % number + PAYLOAD
        client.send(
            weir.publish_packet(topic, text, qos, client.new_id())
        )
        try:
            kind, _, body = client.read(timeout=1.5)
        except AssertionError:
            return number + 1, number
        weir.expect(kind == want, "packet type %d" % kind)
        if qos == 2:
            client.send(weir.packet(weir.PUBREL, 2, body[:2]))
            client.expect(weir.PUBCOMP)
    raise AssertionError("it was never held")


def check(tap, suite, remote):
    arrived = weir.Collector(remote.port, "bridge/#", qos=1)
    neighbour = suite.mqtt("neighbour")
    listener = suite.mqtt("listener")
    listener.subscribe("other/#", 1)
    held = suite.mqtt("held")
    held.subscribe("to/held", 1)
    remote.stop()
    try:
        sent, acknowledged = fill(held, "bridge/held")
        tap.note("held after %d acknowledged messages" % acknowledged)
        with tap.case("the held publisher's PINGREQ is answered"):
            for _ in range(3):
                held.ping(timeout=2)
        with tap.case("the held message is not acknowledged meanwhile"):
            weir.expect(held.is_silent(0.5), "something came")
        with tap.case("a neighbour on the same worker publishes and is answered"):
            started = time.monotonic()
            for number in range(500):
                neighbour.publish("other/a", str(number), 1)
                weir.expect(
                    listener.receive().payload == str(number).encode(), "another"
                )
            tap.note("500 round trips in %.2f s" % (time.monotonic() - started))
        with tap.case("a new client connects and works meanwhile"):
            fresh = suite.mqtt("fresh")
            fresh.publish("other/b", "fresh", 2)
            weir.expect(listener.receive().payload == b"fresh", "another")
            fresh.close()
        with tap.case("the held publisher still receives what it subscribed to"):
            neighbour.publish("to/held", "for you", 1)
            weir.expect(held.receive().payload == b"for you", "another")
        with tap.case("another publisher to the bridge is held too, by QoS 2"):
            second = suite.mqtt("second")
            more, done = fill(second, "bridge/second", qos=2)
            weir.expect(more == done + 1, "sent %d, done %d" % (more, done))
            second.ping(timeout=2)
        with tap.case("weirctl rings shows the bridge's ring blocked"):
            weir.wait_for(
                "it is blocked",
                lambda: suite.ring_is("broker→cloud", state="blocked"),
                5,
            )
    finally:
        remote.go_on()
    with tap.case("when the remote goes on, the held message is acknowledged"):
        packet_id = struct.unpack(">H", held.expect(weir.PUBACK, 20)[:2])[0]
        last = held.next_id
        weir.expect(packet_id == last, "packet id %d of %d" % (packet_id, last))
        body = second.expect(weir.PUBREC, 20)
        second.send(weir.packet(weir.PUBREL, 2, body[:2]))
        second.expect(weir.PUBCOMP)
    with tap.case("all that was acknowledged arrives, once and in order"):
        arrived.wait_count(sent + more)
        for topic, count in (("bridge/held", sent), ("bridge/second", more)):
            numbers = [
                int(m.payload[:6]) for m in arrived.messages if m.topic == topic
            ]
            weir.expect(
                numbers == list(range(count)),
                "%s: %d messages for %d" % (topic, len(numbers), count),
            )
    with tap.case("a publisher that leaves while it is held harms nobody"):
        remote.stop()
        try:
            gone = suite.mqtt("gone")
            fill(gone, "bridge/gone")
            gone.cut()
            neighbour.publish("other/a", "still here", 1)
            weir.expect(listener.receive().payload == b"still here", "another")
        finally:
            remote.go_on()
        weir.wait_for(
            "the ring is empty", lambda: suite.ring_is("broker→cloud", used=0)
        )
    arrived.stop()


def main():
    tap = weir.Tap()
    with weir.Mosquitto() as remote:
        bridges = [
            {
                "name": "cloud",
                "url": "mqtt://127.0.0.1:%d" % remote.port,
                "forward": [{"filter": "bridge/#", "qos": 1}],
                "ring": RING,
            }
        ]
        with tap.case("the suite ends in order"):
            with weir.Weir(
                workers=1, worker_window="64KiB", bridges=bridges
            ) as suite:
                check(tap, suite, remote)
    tap.done()


if __name__ == "__main__":
    main()
