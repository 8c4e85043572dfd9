#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""torture_hostile.py httpd|bridge SECONDS [SEED] - attack a real broker.

WEIR_BUILD names programs built with AddressSanitizer and UBSan, WEIR_HOSTILE
the attacker (hostile.c).  It takes the place of weir-httpd, or of the bridge
"evil"; meanwhile another bridge is fed by MQTT without a pause, and every
message must arrive.  Then the honest program takes the place back.
"""

import collections
import os
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(
    0,
    os.path.join(
        os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "system"
    ),
)

import weir  # noqa: E402

LIMIT = 60  # seconds until something that does not move is stuck


class Suite(weir.Weir):
    """Programs without a supervisor: each is the test's own to start."""

    def start(self):
        self.child = self.run("weir-broker")
        weir.wait_for(
            "the broker listens",
            lambda: self.logged("event=ready") or self.child.poll() is not None,
            LIMIT,
        )

    def run(self, name, *arguments):
        with open(self.log, "ab") as log:
            return self.box.spawn(
                [weir.program(name), "-c", self.config, *arguments], log
            )


class Publisher(threading.Thread):
    """QoS 1 to the honest bridge, and now and then to the hostile one."""

    def __init__(self, suite):
        super().__init__(daemon=True)
        self.suite = suite
        self.sent = 0
        self.failure = None
        self.is_ending = False

    def run(self):
        try:
            honest = self.suite.mqtt("honest")
            # Never read: whom the hostile bridge stalls is not of interest.
            stalled = self.suite.mqtt("stalled")
            stalled.sock.settimeout(0.05)
            while not self.is_ending:
                text = "%d" % (self.sent + 1)
                honest.publish("cloud/n", text, qos=1, wait=False)
                honest.expect(weir.PUBACK, LIMIT)
                self.sent += 1
                try:
                    stalled.publish("evil/n", "x" * 300, qos=0)
                except OSError:
                    pass
        except (OSError, EOFError, AssertionError) as failure:
            self.failure = failure

    def end(self):
        self.is_ending = True
        self.join(timeout=LIMIT)


def bridge(remote, name):
    return {
        "name": name,
        "url": "mqtt://127.0.0.1:%d" % remote.port,
        "forward": [{"filter": name + "/#", "qos": 1}],
        "ring": {"capacity": "64KiB", "max_capacity": "1MiB"},
        "retry_max": "1s",
    }


def watch(suite, publisher, attacker):
    """Until the attacker ends: the broker lives, and the others go on."""
    while attacker.poll() is None:
        sent = publisher.sent
        weir.wait_for(
            "the honest bridge's messages are taken",
            lambda: publisher.sent > sent
            or publisher.failure is not None
            or suite.child.poll() is not None,
            LIMIT,
        )
        weir.expect(suite.child.poll() is None, "the broker has ended")
        weir.expect(
            publisher.failure is None, "publisher: %r" % publisher.failure
        )
        time.sleep(0.2)


def reasons(suite):
    """Why links were poisoned, and how often."""
    found = collections.Counter()
    with open(suite.log, errors="replace") as log:
        for line in log:
            if "event=link_poisoned" in line:
                found[line.partition("reason=")[2].strip()] += 1
    return found


def attack(tap, suite, role, seconds, seed):
    name = "httpd" if role == "httpd" else "evil"
    there = weir.Collector(suite.remote.port, "#", qos=1)
    cloud = suite.run("weir-bridged", "cloud")
    publisher = Publisher(suite)
    publisher.start()
    weir.wait_for("the bridge works", lambda: "1" in there.payloads(), LIMIT)
    attacker = suite.box.spawn(
        [
            os.environ["WEIR_HOSTILE"],
            suite.settings["run_dir"],
            role,
            name,
            str(seconds),
            str(seed),
        ],
        subprocess.PIPE,
        encoding="utf-8",
    )
    with tap.case("the broker and the other bridge go on under attack"):
        watch(suite, publisher, attacker)
        weir.expect(attacker.wait() == 0, "the attacker failed")
    for line in attacker.stdout.read().splitlines():
        tap.note(line)
    publisher.end()
    with tap.case("all %d messages of the other bridge arrive" % publisher.sent):
        wanted = ["%d" % n for n in range(1, publisher.sent + 1)]
        weir.wait_for(
            "the last arrives", lambda: wanted[-1] in there.payloads(), LIMIT
        )
        got = [p for p in there.payloads() if not p.startswith("x")]
        weir.expect(
            list(dict.fromkeys(got)) == wanted, "%d arrived" % len(got)
        )
    found = reasons(suite)
    for reason, count in sorted(found.items()):
        tap.note("%6d %s" % (count, reason))
    tap.ok(bool(found), "links were poisoned, and the log says why")
    with tap.case("the honest program takes the place back"):
        honest = (
            suite.run("weir-httpd")
            if role == "httpd"
            else suite.run("weir-bridged", name)
        )
        if role == "httpd":
            weir.wait_for(
                "weir-httpd listens",
                lambda: suite.logged("event=listening process=httpd")
                or suite.logged("weir-httpd: event=ready"),
                LIMIT,
            )
            weir.wait_for(
                "HTTP works",
                lambda: suite.publish("cloud/n", "back") == 200,
                LIMIT,
            )
        else:
            client = suite.mqtt("back")
            client.publish("evil/n", "back", qos=1)
            client.close()
        weir.wait_for("it arrives", lambda: "back" in there.payloads(), LIMIT)
    for child in (honest, cloud):
        child.send_signal(signal.SIGTERM)
        weir.expect(child.wait(timeout=LIMIT) == 0, "a program ended badly")
    there.stop()


def main():
    role, seconds = sys.argv[1], int(sys.argv[2])
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else int(time.time())
    tap = weir.Tap(limit=seconds + 600)
    tap.note("a hostile %s for %d s, seed %d" % (role, seconds, seed))
    with tap.case("the broker ends in order after all"):
        with weir.Mosquitto() as remote:
            bridges = [bridge(remote, "cloud"), bridge(remote, "evil")]
            with Suite(wait=False, bridges=bridges) as suite:
                suite.remote = remote
                attack(tap, suite, role, seconds, seed)
    tap.done()


if __name__ == "__main__":
    main()
