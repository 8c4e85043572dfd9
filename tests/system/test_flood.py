#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""The flood: 20,000 QoS 1 messages by HTTP to a bridge whose remote stalls.

Rings of 256 KiB, a real mosquitto as the remote, stopped for ten seconds in
the middle.  What was answered 200 arrives, in order; what was refused does
not; everybody else goes on; memory stays within what the configuration
allows.  Three floods: with a healthy remote (the figure to compare with),
with the stall, and with kill -9 of weir-httpd and weir-bridged on top.
"""

import collections
import json
import multiprocessing
import signal
import threading
import time

import flooding
import weir

TOTAL = 20000
CONNECTIONS = 8
SIZE = 256
STALL_S = 10.0
UNRELATED_PER_SECOND = 1000
UNBRIDGED_PER_SECOND = 50
RING = {"capacity": "256KiB", "max_capacity": "256KiB"}

fork = multiprocessing.get_context("fork")

NOT_SENT, OK, RATE, AWAY, TIMED_OUT, UNKNOWN, OTHER = range(7)
OUTCOME = {200: OK, 429: RATE, 503: AWAY, 504: TIMED_OUT}
REFUSED = (RATE, AWAY)


def payload(number):
    return ("%d:%06d:" % (number % CONNECTIONS, number)).ljust(SIZE, "x")


def numbered(text):
    return int(text.split(":")[1])


class Sender:
    """One keep-alive HTTP connection that comes back when it is cut."""

    def __init__(self, port):
        self.port = port
        self.http = None

    def publish(self, topic, text):
        """(outcome, Retry-After or None)."""
        body = json.dumps({"topic": topic, "payload": text, "qos": 1})
        deadline = time.monotonic() + 30
        while self.http is None:
            try:
                self.http = weir.Http(self.port)
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
        try:
            status, headers, _ = self.http.request(
                "POST", "/api/v4/mqtt/publish", body
            )
        except (OSError, EOFError):
            self.http.close()
            self.http = None
            return UNKNOWN, None
        if headers.get("connection", "").lower() == "close":
            self.http.close()
            self.http = None
        return OUTCOME.get(status, OTHER), headers.get("retry-after")


def flood_process(port, go, outcomes, answered, no_retry_after):
    def run(first):
        sender = Sender(port)
        for number in range(first, TOTAL, CONNECTIONS):
            outcome, retry_after = sender.publish("bridge/flood", payload(number))
            outcomes[number] = outcome
            with answered.get_lock():
                answered.value += 1
            if outcome == RATE and not (retry_after or "").isdigit():
                with no_retry_after.get_lock():
                    no_retry_after.value += 1

    go.wait()
    threads = [threading.Thread(target=run, args=(i,)) for i in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def unbridged_process(port, mqtt_port, stop, pipe):
    """Some HTTP to a topic that no bridge wants, through the same httpd."""
    collector = weir.Collector(mqtt_port, "plain/#", qos=1)
    sender = Sender(port)
    outcomes = collections.Counter()
    accepted, delays = set(), []
    for number in flooding.paced(UNBRIDGED_PER_SECOND, stop):
        started = time.monotonic()
        outcome, _ = sender.publish("plain/x", str(number))
        delays.append((time.monotonic() - started) * 1e3)
        outcomes[outcome] += 1
        if outcome == OK:
            accepted.add(str(number))
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and accepted - set(collector.payloads()):
        time.sleep(0.05)
    delays.sort()
    pipe.send(
        {
            "outcomes": dict(outcomes),
            "lost": len(accepted - set(collector.payloads())),
            "dropped": collector.broken is not None,
            "max": delays[-1] if delays else 0,
        }
    )


class Flood:
    """One flood, and all that was seen of it."""

    def __init__(self, tap, stall, kills=()):
        self.tap = tap
        self.blocked = None
        self.pids_before = {}
        # Limits as tight as the test allows, so that the bound on memory
        # that follows from them says something.
        with weir.Mosquitto() as remote, weir.Weir(
            max_connections=32,
            max_queued_messages=4000,
            max_queued_bytes="2MiB",
            retained_max_bytes="1MiB",
            http={
                "stall_timeout": "2s",
                "ring": RING,
                "max_connections": 32,
                "max_pending": 64,
            },
            bridges=[
                {
                    "name": "cloud",
                    "type": "mqtt",
                    "url": "mqtt://127.0.0.1:%d" % remote.port,
                    "forward": [{"filter": "bridge/#", "qos": 1}],
                    "ring": RING,
                    "backlog": "0",
                    "overflow": "stall",
                }
            ],
        ) as suite:
            self.run(suite, remote, stall, kills)

    def run(self, suite, remote, stall, kills):
        self.outcomes = fork.Array("b", TOTAL, lock=False)
        answered, no_retry_after = fork.Value("i", 0), fork.Value("i", 0)
        go, stop = fork.Event(), fork.Event()
        unrelated, unrelated_end = fork.Pipe(False)
        unbridged, unbridged_end = fork.Pipe(False)
        flood = fork.Process(
            target=flood_process,
            args=(suite.http_port, go, self.outcomes, answered, no_retry_after),
            daemon=True,
        )
        neighbours = [
            fork.Process(
                target=flooding.mqtt_neighbour,
                args=(suite.port, UNRELATED_PER_SECOND, stop, unrelated_end),
                daemon=True,
            ),
            fork.Process(
                target=unbridged_process,
                args=(suite.http_port, suite.port, stop, unbridged_end),
                daemon=True,
            ),
        ]
        for process in neighbours + [flood]:
            process.start()
        weir.expect(unrelated.poll(20) and unrelated.recv() == "ready", "neighbour")
        # Threads only after the forks, and the flood only after its witness.
        arrived = weir.Collector(remote.port, "bridge/#", qos=1)
        memory = flooding.Memory(suite)
        for name in ("weir-broker", "weir-httpd", "weir-bridged"):
            self.pids_before[name] = suite.pid(name)
        self.limit = self.memory_bound(suite)
        started = time.monotonic()
        go.set()
        if stall:
            weir.wait_for("a third is answered", lambda: answered.value > TOTAL // 3)
            self.stall(suite, remote, kills)
        flood.join(180)
        weir.expect(not flood.is_alive(), "the flood did not end")
        weir.expect(flood.exitcode == 0, "the flood's process failed")
        self.seconds = time.monotonic() - started
        stop.set()
        weir.expect(unrelated.poll(60), "the unrelated traffic did not end")
        self.unrelated = unrelated.recv()
        weir.expect(unbridged.poll(60), "the unbridged traffic did not end")
        self.unbridged = unbridged.recv()
        self.no_retry_after = no_retry_after.value
        self.await_arrival(arrived)
        self.pids_after = {
            name: suite.pids(name) for name in self.pids_before
        }
        memory.end()
        self.memory = memory
        self.rings = self.quiet_rings(suite)
        arrived.stop()

    def memory_bound(self, suite):
        """What weirctl status allows with the three clients of this test."""

        def status():
            now = json.loads(suite.ctl("status", "--json"))
            return now if now["clients"] >= 3 else None

        return weir.wait_for("the neighbours are connected", status)["memory"]

    def stall(self, suite, remote, kills):
        stalled = time.monotonic()
        remote.stop()
        due = list(kills)
        while time.monotonic() < stalled + STALL_S:
            if due and time.monotonic() > stalled + due[0][0]:
                name = due.pop(0)[1]
                pids = weir.wait_for(name + " is up", lambda: suite.pids(name))
                weir.kill(pids[0], signal.SIGKILL)
            ring = suite.ring("broker→cloud")
            if ring is not None and ring["state"] == "blocked":
                self.blocked = ring
            time.sleep(0.2)
        remote.go_on()

    def await_arrival(self, arrived):
        wanted = self.numbers(OK)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            self.got = [numbered(text) for text in arrived.payloads()]
            if wanted <= set(self.got):
                break
            time.sleep(0.1)
        self.remote_broken = arrived.broken

    def quiet_rings(self, suite):
        def empty():
            rings = suite.rings()
            return rings if rings and all(r["used"] == 0 for r in rings) else None

        return weir.wait_for("all rings are empty again", empty, 20)

    def numbers(self, *outcomes):
        return {i for i in range(TOTAL) if self.outcomes[i] in outcomes}

    def in_order(self):
        """First arrivals, of each connection, ascend."""
        last = [-1] * CONNECTIONS
        for number in dict.fromkeys(self.got):
            if number < last[number % CONNECTIONS]:
                return False
            last[number % CONNECTIONS] = number
        return True

    def report(self, title):
        tap, got = self.tap, set(self.got)
        accepted = self.numbers(OK)
        tap.note("%s: %d offered in %.1f s" % (title, TOTAL, self.seconds))
        tap.note(
            "  accepted %d, 429 %d, 503 %d, 504 %d, cut off %d, other %d"
            % tuple(
                len(self.numbers(o))
                for o in (OK, RATE, AWAY, TIMED_OUT, UNKNOWN, OTHER)
            )
        )
        tap.note(
            "  arrived %d, twice %d, lost after 200: %d"
            % (len(got), len(self.got) - len(got), len(accepted - got))
        )
        tap.note(
            "  unrelated MQTT: %(sent)d sent, %(received)d received, "
            "p50 %(p50).2f ms, p99 %(p99).2f ms, max %(max).1f ms" % self.unrelated
        )
        tap.note(
            "  unbridged HTTP: %r, slowest %.1f ms"
            % (self.unbridged["outcomes"], self.unbridged["max"])
        )
        tap.note(
            "  resident KiB at most: %r, sum %d, limit %d"
            % (
                dict(self.memory.most),
                self.memory.sum,
                self.limit["bound"] // 1024,
            )
        )

    def check_promises(self, what):
        tap, got = self.tap, set(self.got)
        accepted = self.numbers(OK)
        tap.equal(len(accepted - got), 0, what + ": all that was answered 200 arrives")
        tap.equal(
            len(got & self.numbers(*REFUSED)), 0, what + ": nothing refused arrives"
        )
        tap.ok(self.in_order(), what + ": each connection's messages arrive in order")
        tap.equal(
            len(self.numbers(NOT_SENT, OTHER)), 0, what + ": no other status was seen"
        )
        tap.equal(self.no_retry_after, 0, what + ": each 429 has a Retry-After")
        tap.ok(
            not self.unrelated["dropped"]
            and not self.unbridged["dropped"]
            and self.remote_broken is None,
            what + ": no MQTT connection drops",
        )
        tap.ok(
            self.unrelated["received"] == self.unrelated["sent"]
            and self.unrelated["acknowledged"] == self.unrelated["sent"]
            and self.unrelated["in_order"],
            what + ": the unrelated traffic arrives, once and in order",
            self.unrelated,
        )
        tap.equal(self.unbridged["lost"], 0, what + ": no unbridged message is lost")
        tap.ok(
            self.memory.sum * 1024 <= self.limit["bound"],
            what + ": memory stays within what weirctl status computes",
            "%d KiB of %r" % (self.memory.sum, self.limit),
        )

    def check_nobody_died(self, what):
        for name, pid in self.pids_before.items():
            self.tap.equal(self.pids_after[name], [pid], what + ": %s lives on" % name)

    def check_unbridged_undisturbed(self, what):
        self.tap.equal(
            set(self.unbridged["outcomes"]), {OK}, what + ": no unbridged refusal"
        )


def main():
    tap = weir.Tap(limit=380)

    with tap.case("a flood to a healthy remote runs"):
        healthy = Flood(tap, stall=False)
        healthy.report("healthy remote")
        healthy.check_promises("healthy")
        healthy.check_nobody_died("healthy")
        healthy.check_unbridged_undisturbed("healthy")
        tap.equal(len(healthy.numbers(OK)), TOTAL, "healthy: all is accepted")

    with tap.case("a flood to a remote that stalls for ten seconds runs"):
        stalled = Flood(tap, stall=True)
        stalled.report("remote stopped for %g s" % STALL_S)
        stalled.check_promises("stalled")
        stalled.check_nobody_died("stalled")
        stalled.check_unbridged_undisturbed("stalled")
        tap.ok(stalled.numbers(RATE), "stalled: some are held, then refused with 429")
        tap.equal(
            stalled.numbers(RATE, OK),
            set(range(TOTAL)),
            "stalled: each message is accepted or refused, none unknown",
        )
        tap.ok(
            stalled.blocked is not None and stalled.blocked["held_by"],
            "stalled: weirctl rings shows the lane blocked and who holds it",
            stalled.blocked,
        )
        lane = [r for r in stalled.rings if r["name"] == "httpd→broker/cloud"]
        tap.equal(
            [r["messages_in"] for r in lane],
            [len(stalled.numbers(OK))],
            "stalled: the lane's counter is what was answered 200",
        )
        if "healthy" in locals():
            tap.note(
                "unrelated p99: %.2f ms beside the healthy remote, %.2f ms beside "
                "the stalled one" % (healthy.unrelated["p99"], stalled.unrelated["p99"])
            )

    with tap.case("a flood with a stall and four kill -9 runs"):
        killed = Flood(
            tap,
            stall=True,
            kills=[
                (2, "weir-bridged"),
                (4, "weir-httpd"),
                (6, "weir-bridged"),
                (8, "weir-httpd"),
            ],
        )
        killed.report("stall and kill -9 of httpd and bridge")
        killed.check_promises("killed")
        for name in ("weir-httpd", "weir-bridged"):
            tap.ok(
                len(killed.pids_after[name]) == 1
                and killed.pids_after[name] != [killed.pids_before[name]],
                "killed: %s came back" % name,
            )
        tap.equal(
            killed.pids_after["weir-broker"],
            [killed.pids_before["weir-broker"]],
            "killed: the broker did not notice",
        )
        tap.equal(
            killed.unbridged["outcomes"].get(RATE, 0), 0, "killed: no unbridged 429"
        )

    tap.done()


if __name__ == "__main__":
    main()
