#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""A message on its way through the broker takes memory from pools alone.

weir-broker runs with a library preloaded that counts malloc() and its kin in
the program's own code (tests/torture/fail_nth.c).  After a warm-up, as many
messages again may cost a few of them: a read that ends within a packet keeps
its beginning, an index grows by doubling.  One each would be too many.
"""

import os
import shlex
import subprocess
import sys

import mqtt_raw
import weir
from mqtt_raw import PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL

sys.path.insert(
    0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../torture")
)
import torture_faults

MEMORY = torture_faults.KINDS.index("memory")
MESSAGES = 1200
BURST = 40  # within the default receive maximum
MOST = MESSAGES // 16


def library(box):
    source = os.path.join(
        os.environ.get("WEIR_SOURCE", "."), "tests/torture/fail_nth.c"
    )
    out = os.path.join(box.dir, "fail_nth.so")
    compiler = shlex.split(os.environ.get("CC", "cc"))
    argv = compiler + ["-D_GNU_SOURCE", "-O1", "-fPIC", "-shared", source, "-o", out]
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode != 0:
        raise weir.Skip("fail_nth.c is not compiled: " + done.stderr[-200:])
    return out


def publish(publisher, topic, payload, qos):
    """A burst, acknowledged as its QoS wants it."""
    version = publisher.version
    ids = range(1, BURST + 1)
    publisher.send(
        b"".join(
            mqtt_raw.publish(topic, payload, qos=qos, id=i, version=version)
            for i in ids
        )
    )
    if qos == 1:
        for i in ids:
            publisher.expect(PUBACK, id=i)
    if qos == 2:
        for i in ids:
            publisher.expect(PUBREC, id=i)
        publisher.send(
            b"".join(mqtt_raw.ack(PUBREL, i) for i in ids)
        )
        for i in ids:
            publisher.expect(PUBCOMP, id=i)


def take(subscriber, qos):
    """The same burst, received."""
    version = subscriber.version
    ids = [subscriber.expect(PUBLISH, qos=qos).id for _ in range(BURST)]
    if qos == 1:
        subscriber.send(
            b"".join(mqtt_raw.ack(PUBACK, i) for i in ids)
        )
    if qos == 2:
        subscriber.send(
            b"".join(mqtt_raw.ack(PUBREC, i) for i in ids)
        )
        for i in ids:
            subscriber.expect(PUBREL, id=i)
        subscriber.send(
            b"".join(mqtt_raw.ack(PUBCOMP, i) for i in ids)
        )


def run(publisher, subscriber, topic, payload, qos):
    for _ in range(MESSAGES // BURST):
        publish(publisher, topic, payload, qos)
        take(subscriber, qos)


def costs(broker, version, qos, size, durable):
    """Allocations that MESSAGES messages need, after as many before them."""
    name = "%d-%d-%d-%d" % (version, qos, size, durable)
    topic = "t/" + name
    publisher = mqtt_raw.Client(broker.port, "p" + name, version=version)
    more = {"clean": not durable}
    if durable and version == 5:
        more["props"] = {"session_expiry_interval": 100}
    subscriber = mqtt_raw.Client(broker.port, "s" + name, version=version, **more)
    subscriber.send(mqtt_raw.subscribe(1, (topic, qos), version=version))
    subscriber.expect(mqtt_raw.SUBACK, id=1)
    run(publisher, subscriber, topic, b"x" * size, qos)
    before = broker.control.count(MEMORY)
    run(publisher, subscriber, topic, b"x" * size, qos)
    cost = broker.control.count(MEMORY) - before
    publisher.cut()
    subscriber.cut()
    return cost


def test(tap, broker):
    counted = broker.control.count(MEMORY)
    tap.ok(counted > 0, "the library counts", "it has counted nothing")
    for version in (4, 5):
        for qos in (0, 1, 2):
            for size in (16, 4096):
                for durable in (False, True) if qos > 0 else (False,):
                    what = "MQTT %d, QoS %d, %d bytes, session %s" % (
                        version,
                        qos,
                        size,
                        "kept" if durable else "not kept",
                    )
                    cost = costs(broker, version, qos, size, durable)
                    tap.ok(
                        cost <= MOST,
                        "nothing is allocated a message: " + what,
                        "%d allocations for %d messages" % (cost, MESSAGES),
                    )


def main():
    tap = weir.Tap()
    with weir.Box() as box:
        broker = torture_faults.Broker(
            box,
            library(box),
            durability="process",
            journal={"segment_size": "16MiB"},
        )
        broker.start()
        broker.wait_ready()
        test(tap, broker)
        broker.child.terminate()
        tap.equal(broker.child.wait(timeout=30), 0, "the broker ends in order")
    tap.done()


if __name__ == "__main__":
    try:
        main()
    except weir.Skip as reason:
        print("1..0 # SKIP %s" % reason)
