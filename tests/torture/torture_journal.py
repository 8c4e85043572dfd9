#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""torture_journal.py KILLS [SEED] - kill -9 of any Weir process, at any time.

The suite runs with durability "disk".  Two publishers of QoS 1, two of QoS 2
and one by HTTP; three subscribers that are there and one that is away; a
bridge to a remote; retained messages; a client with a will.  A victim at
random among broker, httpd and bridged dies at a random moment, KILLS times.
In the end: of what was acknowledged nothing is lost, nothing of QoS 2 came
twice to anybody, first deliveries are in order, retained messages are not
older than acknowledged, and no session was ever gone.
"""

import contextlib
import os
import random
import re
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import steady  # noqa: E402
from steady import weir  # noqa: E402

ROLES = ("weir-broker", "weir-httpd", "weir-bridged")
LIMIT = steady.LIMIT


def settings(remote):
    return {
        "durability": os.environ.get("WEIR_DURABILITY", "disk"),
        "max_queued_messages": 10000000,
        "max_queued_bytes": "4GiB",
        "bridges": [
            {
                "name": "cloud",
                "url": "mqtt://127.0.0.1:%d" % remote.port,
                "forward": [{"filter": "bridge/#", "qos": 1}],
                "ring": {"capacity": "64KiB", "max_capacity": "1MiB"},
                "retry_max": "1s",
            }
        ],
    }


class Cast(steady.Cast):
    """Two publishers of each QoS, one by HTTP; three who listen, one away."""

    def __init__(self, suite):
        port = suite.port
        super().__init__(
            [
                steady.Publisher(
                    port, name, qos, "bridge/t/" + name, "kept/" + name
                )
                for name, qos in (("p1a", 1), ("p1b", 1), ("p2a", 2), ("p2b", 2))
            ],
            [steady.HttpPublisher(suite, "http", "bridge/t/http")],
            [
                steady.Subscriber(port, "s1", 1, "bridge/t/#"),
                steady.Subscriber(port, "s2", 2, "bridge/t/#"),
                steady.Subscriber(port, "s2all", 2, "#"),
            ],
            [steady.Subscriber(port, "away", 2, "bridge/t/#")],
        )
        self.mortal = steady.Mortal(port, "mortal")

    def begin(self):
        super().begin()
        self.mortal.start()

    def clients(self):
        return super().clients() + [self.mortal]


def kill_one(suite, dice, deaths):
    role = dice.choice(ROLES)
    for pid in suite.pids(role):
        weir.kill(pid, signal.SIGKILL)
        deaths[role] += 1


def look_at_retained(cast):
    """What was acknowledged before is what a new subscriber gets, or newer."""
    stale = []
    for one in cast.publishers:
        # What was acknowledged may have been on the way when the broker died.
        with contextlib.suppress(OSError, EOFError, IndexError):
            stale += steady.stale_retained(one)
    return stale


def torment(tap, cast, suite, kills, dice):
    deaths = {role: 0 for role in ROLES}
    stale = []
    told = 50
    while sum(deaths.values()) < kills:
        # Some die before they have come back from the last time.
        time.sleep(dice.choice((0.02, 0.1, 0.3)) * dice.random())
        kill_one(suite, dice, deaths)
        if dice.random() < 0.3:
            cast.goes_on()
            stale += look_at_retained(cast)
        count = sum(deaths.values())
        if count >= told:
            told += 50
            tap.note("%d kills, %d acknowledged" % (count, cast.accepted()))
    cast.goes_on()
    return deaths, stale + look_at_retained(cast)


def has_all(subscriber, cast):
    return all(
        numbers <= subscriber.seen.get(name, set())
        for name, _, numbers in cast.sources()
    )


def wait_while_they_come(what, arrived, count):
    """Until all is there; in vain when nothing more comes for a while."""
    last, since = count(), time.monotonic()
    while not arrived():
        time.sleep(0.3)
        if count() != last:
            last, since = count(), time.monotonic()
        weir.expect(time.monotonic() - since < LIMIT / 2, "waited in vain: " + what)


def check_losses(tap, cast, receivers):
    for subscriber in receivers:
        with tap.case("%s has all that was acknowledged" % subscriber.client_id):
            try:
                wait_while_they_come(
                    "they arrive",
                    lambda: has_all(subscriber, cast),
                    subscriber.count,
                )
            except AssertionError:
                for name, _, numbers in cast.sources():
                    lost = numbers - subscriber.seen.get(name, set())
                    weir.expect(
                        not lost,
                        "%d of %s lost: %s" % (len(lost), name, sorted(lost)[:5]),
                    )


def check_order_and_copies(tap, cast, receivers):
    for subscriber in receivers:
        wrong = {
            name: steady.unordered(numbers)
            for name, numbers in subscriber.got.items()
        }
        tap.ok(
            not any(wrong.values()),
            "%s: first deliveries are in order" % subscriber.client_id,
            wrong,
        )
        copies = {
            name: steady.repeated(subscriber.got.get(name, []))
            for name, qos, _ in cast.sources()
            if qos == 2
        }
        if subscriber.qos == 2:
            tap.ok(
                not any(copies.values()),
                "%s: nothing of QoS 2 came twice" % subscriber.client_id,
                copies,
            )


def check_remote(tap, cast, remote):
    there = steady.Numbers(remote)

    def arrived():
        return all(
            numbers <= set(there.of(name)) for name, _, numbers in cast.sources()
        )

    with tap.case("the remote has all that was acknowledged, in order"):
        wait_while_they_come("they arrive", arrived, lambda: len(remote.messages))
        for name, _, _ in cast.sources():
            count = steady.unordered(there.of(name))
            weir.expect(count == 0, "%s: %d out of order" % (name, count))


def check_sessions(tap, cast, stale, deaths):
    lost = {c.client_id: c.lost_sessions for c in cast.clients() if c.lost_sessions}
    tap.ok(not lost, "no session was ever gone", lost)
    tap.ok(not stale, "retained messages are as new as acknowledged", stale)
    wrong = [c.client_id + ": " + w for c in cast.clients() for w in c.wrong]
    tap.ok(not wrong, "nobody was sent anything wrong", wrong[:5])
    if deaths["weir-broker"]:
        wills = [t for t in cast.there[2].texts if t[0] == "will/mortal"]
        tap.ok(wills, "the will of who was cut off was published")


def say_recoveries(tap, suite):
    with open(suite.log, errors="replace") as f:
        found = [
            int(ms)
            for ms in re.findall(r"event=recovered .*? ms=(\d+)", f.read())
        ]
    found.sort()
    if found:
        tap.note(
            "%d recoveries: p50 %d ms, p99 %d ms, max %d ms"
            % (
                len(found),
                found[len(found) // 2],
                found[len(found) * 99 // 100],
                found[-1],
            )
        )


def torture(tap, kills, dice, remote, suite):
    there = weir.Collector(remote.port, "bridge/#", qos=1)
    cast = Cast(suite)
    cast.begin()
    deaths, stale = torment(tap, cast, suite, kills, dice)
    with tap.case("all that was sent is acknowledged in the end"):
        cast.settle()
    cast.come_back()
    receivers = cast.there + cast.away
    check_losses(tap, cast, receivers)
    check_order_and_copies(tap, cast, receivers)
    check_remote(tap, cast, there)
    check_sessions(tap, cast, stale, deaths)
    tap.note("deaths: " + ", ".join("%s %d" % pair for pair in deaths.items()))
    tap.note(
        "acknowledged: "
        + ", ".join("%s %d" % (name, len(n)) for name, _, n in cast.sources())
    )
    say_recoveries(tap, suite)
    cast.end()
    there.stop()


def main():
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else int(time.time())
    tap = weir.Tap(limit=7200)
    tap.note("seed %d" % seed)
    with tap.case("the suite survives %d kills" % kills):
        with weir.Mosquitto() as remote:
            with weir.Weir(**settings(remote)) as suite:
                torture(tap, kills, random.Random(seed), remote, suite)
    tap.done()


if __name__ == "__main__":
    main()
