#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""bench/load and bench/limit: what they count is right, and so is the broker."""

import contextlib
import os
import subprocess
import threading

import scripted
import weir

LOAD = os.path.join(weir.BUILD, "bench/load")
LIMIT = os.path.join(weir.BUILD, "bench/limit")
MESSAGES = 60


def load(port, words, code=0):
    """What it printed, as a dict; or what it said on stderr when it died."""
    done = subprocess.run(
        [LOAD, "-p", str(port), *words.split()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    weir.expect(
        done.returncode == code,
        "%d: %s%s" % (done.returncode, done.stdout, done.stderr),
    )
    if not done.stdout:
        return done.stderr
    return dict(word.split("=") for word in done.stdout.split())


def expect(got, **values):
    for name, value in values.items():
        weir.expect(got[name] == str(value), "%s of %r" % (name, got))


PATTERNS = [
    ("p2p", "-P 10 -S 10 -T 10 -n 100", 1000),
    ("fan-out", "-P 2 -S 50 -n 10 -w 5", 1000),
    ("fan-in", "-P 50 -S 2 -n 10", 500),
    ("shared", "-P 20 -S 3 -n 20", 400),
    ("wildcard", "-P 10 -S 60 -T 10 -n 5", 300),
    ("open-loop", "-P 5 -S 5 -T 5 -r 1000 -n 50", 250),
    ("ping-pong", "-n 50", 50),
]


def patterns(tap, suite):
    for name, words, count in PATTERNS:
        for qos in "012":
            for version in ("", "--mqtt5"):
                case = "%s, QoS %s %s: all arrive once, in order"
                with tap.case(case % (name, qos, version)):
                    got = load(
                        suite.port,
                        "-m %s %s -q %s %s -t 20" % (name, words, qos, version),
                    )
                    expect(got, deliveries=count, expected=count)
                    expect(got, lost=0, doubled=0, disordered=0)
                    weir.expect(float(got["p99_us"]) > 0, got)
    with tap.case("every retained message comes with each SUBSCRIBE, then none"):
        got = load(suite.port, "-m retained -S 4 -T 50 -n 3 -q 1 -t 20")
        expect(got, retained=600, lost=0, doubled=0)
        client = suite.mqtt("who-looks")
        client.subscribe("bench/#")
        client.ping()
        client.close()
    with tap.case("connections that are made and ended are counted"):
        got = load(suite.port, "-m connect -n 200 -w 8 -t 20")
        expect(got, connections=200)
    with tap.case("the processor time of the broker is measured"):
        pid = suite.pid("weir-broker")
        got = load(suite.port, "-m ping-pong -n 200 -c %d" % pid)
        weir.expect(0 < float(got["cpu_us"]) < 1e6, got)
    with tap.case("what is beside it does not come to the subscribers"):
        got = load(
            suite.port,
            "-P 5 -S 5 -T 5 -n 50 -q 1 -t 20 --idle 50 --unrelated 1500 "
            "--other-retained 200 --queued 200 --half-open 20 --stalled 5",
        )
        expect(got, deliveries=250, lost=0, doubled=0, disordered=0)


@contextlib.contextmanager
def limit():
    port = weir.free_port()
    with weir.Box() as box, open(os.path.join(box.dir, "log"), "wb") as log:
        box.spawn([LIMIT, "-p", str(port)], log)

        def answers():
            with contextlib.suppress(OSError, EOFError):
                weir.Mqtt(port, "ready?").close()
                return True

        weir.wait_for("bench/limit listens", answers)
        yield port


def limits(tap):
    with limit() as port:
        for name, words, count in PATTERNS:
            if name in ("shared", "wildcard"):
                with tap.case("bench/limit has no %s subscriptions" % name):
                    why = load(port, "-m %s %s" % (name, words), code=1)
                    weir.expect("SUBSCRIBE was refused" in why, why)
                continue
            for qos in "012":
                with tap.case("bench/limit, %s with QoS %s" % (name, qos)):
                    got = load(
                        port, "-m %s %s -q %s -t 20" % (name, words, qos)
                    )
                    expect(got, deliveries=count, lost=0, doubled=0)
        with tap.case("bench/limit takes packets larger than one read"):
            got = load(port, "-P 4 -S 4 -T 4 -n 200 -s 32768 -q 1 -t 20")
            expect(got, deliveries=800, lost=0, doubled=0, disordered=0)


class Spoiler:
    """A broker for one publisher and one subscriber that spoils what comes.

    The first connection publishes MESSAGES with QoS 0, the second gets what
    `spoil` makes of the list.
    """

    def __init__(self, spoil):
        self.spoil = spoil
        self.packets = []
        self.all_there = threading.Event()
        self.port = scripted.Remote(self.serve).port

    def serve(self, peer, number):
        peer.read_connect()
        peer.send(scripted.connack(version=4))
        if number == 1:
            self.take(peer)
        else:
            self.give(peer)
        peer.read(60)  # until it has gone

    def take(self, peer):
        while len(self.packets) < MESSAGES:
            kind, flags, body = peer.read(60)
            weir.expect(kind == weir.PUBLISH, kind)
            self.packets.append(weir.packet(kind, flags, body))
        self.all_there.set()

    def give(self, peer):
        kind, _, body = peer.read()
        weir.expect(kind == weir.SUBSCRIBE, kind)
        peer.send(weir.packet(weir.SUBACK, 0, body[:2] + b"\0"))
        self.all_there.wait(60)
        peer.send(b"".join(self.spoil(self.packets)))


SPOILS = [
    ("as it came", lambda p: p, dict(lost=0, doubled=0, disordered=0), 0),
    ("one is lost", lambda p: p[:10] + p[11:], dict(lost=1, disordered=0), 1),
    ("the last is lost", lambda p: p[:-1], dict(lost=1), 1),
    (
        "one is doubled",
        lambda p: p[:20] + p[19:],
        dict(lost=0, doubled=1, disordered=0),
        1,
    ),
    ("the last is doubled", lambda p: p + p[-1:], dict(lost=0, doubled=1), 1),
    (
        "two change places",
        lambda p: p[:5] + [p[6], p[5]] + p[7:],
        dict(lost=0, doubled=0, disordered=1),
        1,
    ),
    (
        "one replaces another",
        lambda p: p[:5] + [p[4]] + p[6:],
        dict(lost=1, doubled=1),
        1,
    ),
]


def spoiled(tap):
    words = "-P 1 -S 1 -T 1 -t 2 -n %d" % MESSAGES
    for name, spoil, values, code in SPOILS:
        with tap.case("it is seen when " + name):
            expect(load(Spoiler(spoil).port, words, code=code), **values)
    with tap.case("a broker that changes a payload is found out"):
        other = Spoiler(lambda p: [p[0][:-16] + b"\xff" * 16])
        why = load(other.port, words, code=1)
        weir.expect("not published to this topic" in why, why)


def command_line(tap):
    for words, told in (
        ("--qos 3", "0 to 2"),
        ("--pattern none", "one of p2p"),
        ("--publishers 0", "1 to 60000"),
        ("--offline", "give --qos"),
        ("-c 0", "processes"),
        ("more", "no option"),
    ):
        with tap.case("%s is refused with what is allowed" % words):
            why = load(1, words, code=64)
            weir.expect(told in why, why)


def main():
    tap = weir.Tap()
    with tap.case("the suite ends in order"), weir.Weir(
        http=None, durability="process", workers=2
    ) as suite:
        patterns(tap, suite)
    tap.attempt(limits)
    tap.attempt(spoiled)
    tap.attempt(command_line)
    tap.done()


if __name__ == "__main__":
    main()
