#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""A burst of 64 MiB into rings of 256 KiB that may grow to 16 MiB.

The bridge is stopped (SIGSTOP) while the burst begins: its ring grows step by
step, then stalls who publishes to it, and nobody else.  When the bridge goes
on everything that was accepted arrives, in order, and the rings are small
again.
"""

import collections
import json
import os
import signal
import stat
import threading
import time

import weir

KIB, MIB = 1 << 10, 1 << 20
CAPACITY, MAX_CAPACITY = 256 * KIB, 16 * MIB
SIZE = 16 * KIB
COUNT = 64 * MIB // SIZE
CONNECTIONS = 8
RING = {"capacity": "256KiB", "max_capacity": "16MiB"}
# One record of this size may be a quarter of the largest class.
LARGE = 4 * MIB - 8 * KIB


def memory_of_lanes(pid):
    """Bytes that the lane memfds of a process really take, each once."""
    sizes = {}
    for name in os.listdir("/proc/%d/fd" % pid):
        path = "/proc/%d/fd/%s" % (pid, name)
        try:
            if not os.readlink(path).startswith("/memfd:weir-lane"):
                continue
            status = os.stat(path)
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode):
            sizes[status.st_ino] = status.st_blocks * 512
    return sum(sizes.values()), len(sizes)


def payload(number):
    return ("%06d:" % number).ljust(SIZE, "x")


class Burst:
    """COUNT messages over some connections, each sent until it is accepted."""

    def __init__(self, suite):
        self.suite = suite
        self.status = collections.Counter()
        self.broken = []
        self.lock = threading.Lock()
        self.threads = [
            threading.Thread(target=self.run, args=(first,), daemon=True)
            for first in range(CONNECTIONS)
        ]
        for thread in self.threads:
            thread.start()

    def run(self, first):
        try:
            http = weir.Http(self.suite.http_port, timeout=60)
            for number in range(first, COUNT, CONNECTIONS):
                body = json.dumps(
                    {"topic": "cloud/%d" % first, "payload": payload(number), "qos": 1}
                )
                status = 0
                while status != 200:
                    status, _, text = http.request(
                        "POST", "/api/v4/mqtt/publish", body
                    )
                    with self.lock:
                        self.status[status] += 1
                    weir.expect(status in (200, 429), (status, text))
        except (AssertionError, OSError, EOFError) as error:
            self.broken.append(error)

    def accepted(self):
        with self.lock:
            return self.status[200]

    def wait(self, seconds=180):
        deadline = time.monotonic() + seconds
        for thread in self.threads:
            thread.join(max(0, deadline - time.monotonic()))
        weir.expect(not self.broken, self.broken)
        weir.expect(not any(t.is_alive() for t in self.threads), "still sending")


def grows_and_stalls(tap, suite, bridge):
    weir.kill(bridge, signal.SIGSTOP)
    burst = Burst(suite)
    seen = set()

    def is_full():
        ring = suite.ring("broker→cloud")
        seen.add(ring["capacity"])
        return ring["capacity"] == MAX_CAPACITY and ring["state"] == "blocked"

    weir.wait_for("the ring is at its maximum and blocked", is_full, 60)
    with tap.case("the bridge's ring grew to its maximum while nobody took from it"):
        ring = suite.ring("broker→cloud")
        weir.expect(ring["grows"] == 6, ring)
        weir.expect(MAX_CAPACITY // 2 < ring["used"] < 2 * MAX_CAPACITY, ring)
        # The mark is noted to one part in 64 of the size.
        weir.expect(ring["used"] <= ring["high_water"] + MAX_CAPACITY // 64, ring)
        tap.note("used %d KiB; sizes seen: %s" % (ring["used"] // KIB, sorted(seen)))
    with tap.case("each step was logged"):
        size = CAPACITY
        while size < MAX_CAPACITY:
            line = 'event=ring_resized process=broker to="cloud" capacity=%d former=%d'
            weir.wait_for(
                "a line for %d" % (2 * size),
                lambda: suite.logged(line % (2 * size, size)),
            )
            size *= 2
    with tap.case("then its producers stall, and are refused with 429"):
        weir.wait_for("a 429", lambda: burst.status[429] > 0)
        accepted = burst.accepted()
        weir.expect(0 < accepted < COUNT, accepted)
        tap.note("accepted %d of %d before the bridge goes on" % (accepted, COUNT))
    with tap.case("others do not notice"):
        for number in range(20):
            weir.expect(suite.publish("plain/x", "n%d" % number) == 200, "refused")
    return burst


def all_arrives(tap, suite, bridge, burst, there):
    weir.kill(bridge, signal.SIGCONT)
    burst.wait()
    with tap.case("all that was accepted arrives, once, in order"):
        there.wait_count(COUNT, 120)
        last = collections.defaultdict(lambda: -1)
        for message in there.messages:
            number = int(message.payload[:6])
            weir.expect(message.payload == payload(number).encode(), "damaged")
            weir.expect(number > last[message.topic], "out of order, or twice")
            last[message.topic] = number
        weir.expect(len(there.messages) == COUNT, len(there.messages))
        tap.note("answers: %r" % dict(burst.status))


def is_small_again(tap, suite):
    broker = suite.pid("weir-broker")
    weir.wait_for("drained", lambda: suite.ring("broker→cloud")["used"] == 0)
    drained = time.monotonic()

    def is_small():
        size, lanes = memory_of_lanes(broker)
        # Class 0 and the page in front of it.
        return size <= lanes * (CAPACITY + 4 * KIB)

    with tap.case("when it is idle its memory is given back"):
        weir.wait_for("the lanes take their smallest size", is_small)
        tap.note("after %.1f s" % (time.monotonic() - drained))
        for ring in suite.rings():
            weir.expect(ring["capacity"] == CAPACITY, ring)
        weir.expect(suite.ring("broker→cloud")["shrinks"] > 0, "no shrink counted")


def large_message(tap, suite, there):
    with tap.case("a message of nearly a quarter of the maximum goes through"):
        before = len(there.messages)
        text = "L" * LARGE
        weir.expect(suite.publish("cloud/large", text) == 200, "refused")
        there.wait_count(before + 1)
        weir.expect(there.messages[before].payload == text.encode(), "damaged")
    with tap.case("a larger one is refused with 413"):
        weir.expect(suite.publish("cloud/large", "L" * (4 * MIB)) == 413, "not 413")


def main():
    tap = weir.Tap()
    with weir.Mosquitto() as remote, weir.Weir(
        http={"ring": RING, "stall_timeout": "1s"},
        max_packet_size=str(4 * MIB - KIB),
        bridges=[
            {
                "name": "cloud",
                "url": "mqtt://127.0.0.1:%d" % remote.port,
                "forward": [{"filter": "cloud/#", "qos": 1}],
                "ring": RING,
            }
        ],
    ) as suite:
        there = weir.Collector(remote.port, "cloud/#", qos=1)
        suite.publish("cloud/0", "000000:".ljust(SIZE, "x"))
        there.wait_count(1)
        there.messages.clear()
        bridge = suite.pid("weir-bridged")
        burst = grows_and_stalls(tap, suite, bridge)
        all_arrives(tap, suite, bridge, burst, there)
        is_small_again(tap, suite)
        large_message(tap, suite, there)
        is_small_again(tap, suite)
        there.stop()
    tap.done()


if __name__ == "__main__":
    main()
