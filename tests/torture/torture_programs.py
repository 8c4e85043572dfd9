#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""torture_programs.py KILLS [SEED] - the real programs, killed all the time.

WEIR_BUILD names programs built by build.sh: their stores into shared memory
and what they send are counted.  Each round kills one of them from outside, and
lets its next life end itself at a step: 1, 2, 3 ... and then at random.  All
the while numbered messages come in by HTTP, each tried until it is accepted;
in the end each has arrived at the remote, whole, and first in order.
"""

import json
import os
import random
import signal
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

ROLES = ("weir-broker", "weir-httpd", "weir-bridged")
LOGGED_AS = {"broker": ROLES[0], "httpd": ROLES[1], "cloud": ROLES[2]}
LIMIT = 60  # seconds until something that does not move is stuck
EVERY_STEP = 100  # the first steps of a life, each; then any
LAST_STEP = 4000
PATH = "/api/v4/mqtt/publish"


def payload_of(number):
    text = "%d " % number + "abcdefgh" * (number * 37 % 200)
    return text + " %08x" % zlib.crc32(text.encode())


def number_of(payload):
    """The number of a whole payload; of another one: an error."""
    text, _, check = payload.rpartition(" ")
    weir.expect(
        "%08x" % zlib.crc32(text.encode()) == check, "corrupt: " + payload[:40]
    )
    return int(text.split(" ")[0])


class Publisher(threading.Thread):
    """Messages 1, 2, 3 ..., each until it is accepted."""

    def __init__(self, suite):
        super().__init__(daemon=True)
        self.suite = suite
        self.accepted = 0
        self.tries = 0
        self.is_ending = False

    def run(self):
        http = None
        while not self.is_ending:
            body = json.dumps(
                {
                    "topic": "cloud/n",
                    "payload": payload_of(self.accepted + 1),
                    "qos": 1,
                }
            )
            self.tries += 1
            try:
                http = http or weir.Http(self.suite.http_port)
                status = http.request("POST", PATH, body)[0]
            except (OSError, EOFError, ValueError, IndexError):
                http = None
                status = 0
            if status == 200:
                self.accepted += 1
            else:
                time.sleep(0.01)

    def end(self):
        self.is_ending = True
        self.join(timeout=LIMIT)


class Deaths:
    """What the supervisor says of ended processes, read once each."""

    def __init__(self, suite):
        self.log = open(suite.log, errors="replace")
        self.killed = {role: 0 for role in ROLES}

    def of(self, role):
        for line in self.log:
            if "event=process_killed" in line and "signal=9" in line:
                name = line.partition("event=process_killed process=")[2]
                self.killed[LOGGED_AS[name.split()[0]]] += 1
        return self.killed[role]


def settings(remote):
    return {
        "bridges": [
            {
                "name": "cloud",
                "url": "mqtt://127.0.0.1:%d" % remote.port,
                "forward": [{"filter": "cloud/#", "qos": 1}],
                "ring": {"capacity": "64KiB", "max_capacity": "1MiB"},
                "retry_max": "1s",
            }
        ]
    }


def kill(suite, role):
    """One life of the role, if there is one just now."""
    for pid in suite.pids(role):
        weir.kill(pid, signal.SIGKILL)


def die_twice(suite, deaths, role, step, plan):
    """Kill it, and let the next life die at the step."""
    before = deaths.of(role)
    with open(plan + ".new", "w") as f:
        f.write("%s %d\n" % (role, step))
    os.rename(plan + ".new", plan)
    kill(suite, role)
    weir.wait_for(
        "%s dies, and again at step %d" % (role, step),
        lambda: deaths.of(role) >= before + 2,
        LIMIT,
    )


def goes_on(publisher, role, step):
    accepted = publisher.accepted
    weir.wait_for(
        "messages are accepted after %s died at step %d" % (role, step),
        lambda: publisher.accepted > accepted,
        LIMIT,
    )


def steps_of(role, dice):
    """1, 2, 3 ..., and then any."""
    for step in range(1, EVERY_STEP + 1):
        yield step
    while True:
        yield dice.randrange(1, LAST_STEP)


def torture(tap, kills, dice, remote, suite, plan):
    there = weir.Collector(remote.port, "cloud/#", qos=1)
    publisher = Publisher(suite)
    publisher.start()
    deaths = Deaths(suite)
    steps = {role: steps_of(role, dice) for role in ROLES}
    rounds = 0
    while sum(deaths.killed.values()) < kills:
        role = ROLES[rounds % len(ROLES)]
        step = next(steps[role])
        stalls = rounds % 10 == 9
        if stalls:
            remote.stop()
        die_twice(suite, deaths, role, step, plan)
        if stalls:
            remote.go_on()
        goes_on(publisher, role, step)
        rounds += 1
        if rounds % 20 == 0:
            tap.note(
                "%d kills, %d accepted"
                % (sum(deaths.killed.values()), publisher.accepted)
            )
            sys.stdout.flush()
    publisher.end()
    last = publisher.accepted
    with tap.case("the last of %d accepted messages arrives" % last):
        weir.wait_for(
            "it arrives", lambda: payload_of(last) in there.payloads(), LIMIT
        )
    got = [number_of(payload) for payload in there.payloads()]
    first = list(dict.fromkeys(got))
    with tap.case("all %d arrived, whole, first in order" % last):
        weir.expect(
            [n for n in first if n <= last] == list(range(1, last + 1)),
            "%d arrived" % len(first),
        )
    tap.note("deaths: " + ", ".join("%s %d" % pair for pair in deaths.killed.items()))
    tap.note(
        "%d tries, %d accepted, %d came again"
        % (publisher.tries, last, len(got) - len(first))
    )
    there.stop()


def main():
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 600
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else int(time.time())
    tap = weir.Tap(limit=3600)
    tap.note("seed %d" % seed)
    with tap.case("the suite survives %d kills" % kills):
        with weir.Mosquitto() as remote:
            plan = os.path.join(remote.box.dir, "plan")
            os.environ["WEIR_DIE_PLAN"] = plan
            with weir.Weir(**settings(remote)) as suite:
                torture(tap, kills, random.Random(seed), remote, suite, plan)
    tap.done()


if __name__ == "__main__":
    main()
