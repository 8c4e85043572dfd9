#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""What each overflow policy does when a bridge's ring is full.

A real remote is stopped, so that the ring fills.  Then it goes on, and what
arrived is compared with what was acknowledged and with the figures of
`weirctl status`: accepted = delivered + queued + dropped + dead.
"""

import json
import time

import weir

RING = {"capacity": "64KiB", "max_capacity": "64KiB"}
BODY = "x" * 500
SUCCESS, QUOTA_EXCEEDED = 0x00, 0x97
QUIET = 1.5  # seconds without an answer: it is held


def bridge(port, overflow):
    return {
        "name": "cloud",
        "type": "mqtt",
        "url": "mqtt://127.0.0.1:%d" % port,
        "forward": [{"filter": "bridge/#", "qos": 1}],
        "retry_min": "50ms",
        "retry_max": "500ms",
        "ring": RING,
        "overflow": overflow,
    }


def suite(remote, overflow):
    return weir.Weir(
        http=None,
        workers=1,
        worker_window="8KiB",
        bridges=[bridge(remote.port, overflow)],
    )


def figures(run):
    status = json.loads(run.ctl("status", "--json"))
    return next(b for b in status["bridges"] if b["name"] == "cloud")


def adds_up(run):
    """All figures at rest, the ring empty; they are returned."""

    def at_rest():
        b = figures(run)
        return b if b["queued"] == 0 and b["used"] == 0 else None

    b = weir.wait_for("the ring is empty", at_rest)
    total = b["delivered"] + b["queued"] + b["dropped"] + b["dead"]
    weir.expect(b["accepted"] == total, "accepted %d of %r" % (total, b))
    producers = b["producers"]
    weir.expect(producers["off_by"] == 0, "%r" % producers)
    weir.expect(producers["under_way"] == 0, "%r" % producers)
    weir.expect(producers["accepted"] == b["accepted"], "%r" % b)
    return b


class Sender:
    """Publishes numbers one by one and keeps what was said to each."""

    def __init__(self, run, name, version=5):
        self.client = run.mqtt(name, version=version, keepalive=0)
        self.prefix = name
        self.count = 0
        self.answers = {}  # number -> reason code

    def send(self, qos=1):
        client, number = self.client, self.count
        self.count += 1
        text = "%s-%d:%s" % (self.prefix, number, BODY)
        packet_id = client.new_id() if qos else 0
        client.send(
            weir.publish_packet(
                "bridge/a", text, qos, packet_id, version=client.version
            )
        )
        return number

    def answer(self, number, timeout=10):
        """The reason code for the oldest that waits for one."""
        body = self.client.expect(weir.PUBACK, timeout)
        self.answers[number] = body[2] if len(body) > 2 else SUCCESS
        return self.answers[number]

    def until(self, stop, most=3000):
        """Publish one by one until stop(reason), or no answer (None)."""
        for _ in range(most):
            number = self.send()
            try:
                reason = self.answer(number, QUIET)
            except AssertionError:
                return None
            if stop(reason):
                return reason
        raise AssertionError("%d messages and no end" % most)

    def until_refused(self):
        """Until the ring is full, not the worker's window on its way there.

        That is emptied by a thread which may be late: one refused now is taken
        in a moment.
        """
        while True:
            first = self.count
            reason = self.until(lambda r: r >= 0x80)
            weir.expect(reason is not None, "it is held")
            if self.count == first + 1:
                return reason
            time.sleep(0.5)

    def accepted(self):
        return [n for n, reason in self.answers.items() if reason < 0x80]

    def names(self, numbers):
        return ["%s-%d" % (self.prefix, n) for n in numbers]


def arrived(collector, prefix):
    texts = [p.split(":")[0] for p in collector.payloads()]
    return [t for t in texts if t.startswith(prefix + "-")]


def wait_last(run, collector, client):
    """Publish a last word and wait for it: all before it has arrived."""
    client.publish("bridge/end", "end:", 1)
    weir.wait_for("the end arrives", lambda: "end:" in collector.payloads())


def stall(tap):
    with weir.Mosquitto() as remote, suite(remote, "stall") as run:
        there = weir.Collector(remote.port, "bridge/#", qos=1)
        sender = Sender(run, "sender")
        remote.stop()
        try:
            with tap.case("stall: a publisher is held when the ring is full"):
                weir.expect(sender.until(lambda r: r != SUCCESS) is None, "refused")
                sender.client.ping()
                tap.note("held after %d" % len(sender.answers))
            with tap.case("stall: status says so"):
                weir.wait_for("it does", lambda: figures(run)["stalled"], 5)
                b = figures(run)
                weir.expect(b["dropped"] == 0 and b["refused"] == 0, b)
                weir.expect(b["queued"] > 0, b)
        finally:
            remote.go_on()
        with tap.case("stall: it is acknowledged when there is room"):
            for number in range(len(sender.answers), sender.count):
                weir.expect(sender.answer(number) == SUCCESS, "refused")
        with tap.case("stall: all arrives once, in order, and adds up"):
            wait_last(run, there, run.mqtt("last"))
            got = arrived(there, "sender")
            weir.expect(got == sender.names(range(sender.count)), "%d" % len(got))
            b = adds_up(run)
            weir.expect(b["delivered"] == sender.count + 1, b)
        there.stop()


def reject(tap):
    with weir.Mosquitto() as remote, suite(remote, "reject") as run:
        there = weir.Collector(remote.port, "bridge/#", qos=1)
        sender = Sender(run, "sender")
        old = Sender(run, "old", version=4)
        watcher = run.mqtt("watcher")
        watcher.subscribe("bridge/#", 0)
        remote.stop()
        try:
            with tap.case("reject: MQTT 5.0 is refused with 0x97 on a full ring"):
                reason = sender.until_refused()
                weir.expect(reason == QUOTA_EXCEEDED, "%r" % reason)
                tap.note("refused after %d" % len(sender.accepted()))
            with tap.case("reject: a refused message has no side effect"):
                for _ in range(len(sender.accepted())):
                    watcher.receive()
                weir.expect(watcher.is_silent(0.3), "the refused one came")
            with tap.case("reject: the connection stays, later ones are refused"):
                sender.client.ping()
                reason = sender.answer(sender.send(), QUIET)
                weir.expect(reason == QUOTA_EXCEEDED, "%r" % reason)
            with tap.case("reject: QoS 0 is dropped, and the client let be"):
                sender.send(qos=0)
                sender.client.ping()
            with tap.case("reject: [MQTT3-4.8.0-2] MQTT 3.1.1 is disconnected"):
                old.send()
                weir.expect(old.client.is_closed(5), "it stays open")
            with tap.case("reject: status counts the refusals, and no drop"):
                weir.wait_for("it does", lambda: figures(run)["refused"] >= 3, 5)
                weir.expect(figures(run)["dropped"] == 0, figures(run))
        finally:
            remote.go_on()
        with tap.case("reject: when there is room, messages are taken again"):
            weir.wait_for(
                "one is", lambda: sender.answer(sender.send()) == SUCCESS
            )
        with tap.case("reject: what was accepted arrives, what was refused not"):
            wait_last(run, there, run.mqtt("last"))
            got = arrived(there, "sender")
            weir.expect(got == sender.names(sender.accepted()), "%d" % len(got))
            weir.expect(not arrived(there, "old"), "a refused one arrived")
            b = adds_up(run)
            weir.expect(b["delivered"] == len(got) + 1, b)
        there.stop()


def fill_and_go_on(tap, run, remote, sender, policy, count=1000):
    """Publish with the remote stopped; nothing may be held or refused."""
    remote.stop()
    try:
        with tap.case(policy + ": a full ring holds and refuses nobody"):
            for _ in range(count):
                weir.expect(sender.answer(sender.send()) == SUCCESS, "refused")
        with tap.case(policy + ": the log says that an episode began"):
            weir.wait_for("it does", lambda: run.logged("event=bridge_stalled"), 5)
    finally:
        remote.go_on()


def drop_oldest(tap):
    with weir.Mosquitto() as remote, suite(remote, "drop_oldest") as run:
        there = weir.Collector(remote.port, "bridge/#", qos=1)
        sender = Sender(run, "sender")
        fill_and_go_on(tap, run, remote, sender, "drop_oldest")
        with tap.case("drop_oldest: the newest arrive, in order, and adds up"):
            wait_last(run, there, run.mqtt("last"))
            got = arrived(there, "sender")
            numbers = [int(name.split("-")[1]) for name in got]
            weir.expect(numbers == sorted(set(numbers)), "order")
            weir.expect(numbers[-1] == sender.count - 1, "last %d" % numbers[-1])
            # What was in flight already, then a gap, then all the newest.
            newest = [n for n in numbers if n >= numbers[-1] - 50]
            weir.expect(len(newest) == 51, "only %d of the newest" % len(newest))
            b = adds_up(run)
            weir.expect(b["delivered"] == len(numbers) + 1, b)
            weir.expect(b["dropped"] == sender.count - len(numbers), b)
            weir.expect(b["dropped"] > 500, b)
        with tap.case("drop_oldest: the log sums the episode up"):
            weir.wait_for("it does", lambda: run.logged("event=bridge_resumed"))
        there.stop()


def drop_oldest_hung(tap):
    """While the bridge itself hangs nobody drops the oldest: the newest go."""
    with weir.Mosquitto() as remote, suite(remote, "drop_oldest") as run:
        there = weir.Collector(remote.port, "bridge/#", qos=1)
        sender = Sender(run, "sender")
        pid = run.pid("weir-bridged", "cloud")
        weir.kill(pid, weir.signal.SIGSTOP)
        try:
            with tap.case("drop_oldest: a bridge that hangs holds nobody"):
                for _ in range(500):
                    weir.expect(sender.answer(sender.send()) == SUCCESS, "refused")
        finally:
            weir.kill(pid, weir.signal.SIGCONT)
        with tap.case("drop_oldest: after the hang it goes on, and adds up"):
            wait_last(run, there, run.mqtt("last"))
            numbers = [int(n.split("-")[1]) for n in arrived(there, "sender")]
            weir.expect(numbers == sorted(set(numbers)), "order")
            b = adds_up(run)
            weir.expect(b["delivered"] == len(numbers) + 1, b)
            weir.expect(b["accepted"] == sender.count + 1, b)
        there.stop()


def drop_newest(tap):
    with weir.Mosquitto() as remote, suite(remote, "drop_newest") as run:
        there = weir.Collector(remote.port, "bridge/#", qos=1)
        sender = Sender(run, "sender")
        fill_and_go_on(tap, run, remote, sender, "drop_newest")
        with tap.case("drop_newest: the oldest arrive, in order, and adds up"):
            weir.wait_for("the ring is empty", lambda: figures(run)["queued"] == 0)
            wait_last(run, there, run.mqtt("last"))
            numbers = [int(n.split("-")[1]) for n in arrived(there, "sender")]
            weir.expect(numbers == sorted(set(numbers)), "order")
            weir.expect(numbers[:50] == list(range(50)), numbers[:50])
            b = adds_up(run)
            weir.expect(b["delivered"] == len(numbers) + 1, b)
            weir.expect(b["dropped"] == sender.count - len(numbers), b)
            weir.expect(b["dropped"] > 500, b)
        there.stop()


def killed(tap):
    """kill -9 of the broker with a full ring: acknowledged is not lost."""
    with weir.Mosquitto() as remote, suite(remote, "stall") as run:
        there = weir.Collector(remote.port, "bridge/#", qos=1)
        sender = Sender(run, "sender")
        remote.stop()
        try:
            weir.expect(sender.until(lambda r: r != SUCCESS) is None, "refused")
            pid = run.pid("weir-broker")
            weir.kill(pid, weir.signal.SIGKILL)
            weir.wait_for("it is restarted", lambda: run.pids("weir-broker") not in ([], [pid]))
        finally:
            remote.go_on()
        with tap.case("kill -9 of the broker: what was acknowledged arrives"):
            run.wait_ready()
            want = set(sender.names(sender.accepted()))
            weir.wait_for(
                "all is there", lambda: want <= set(arrived(there, "sender"))
            )
            first = list(dict.fromkeys(arrived(there, "sender")))
            weir.expect(
                first == sender.names(range(len(first))), "not in order"
            )
        there.stop()


def main():
    tap = weir.Tap()
    for name, group in (
        ("stall", stall),
        ("reject", reject),
        ("drop_oldest", drop_oldest),
        ("drop_oldest, hung", drop_oldest_hung),
        ("drop_newest", drop_newest),
        ("killed", killed),
    ):
        with tap.case(name + ": the suite starts, and ends in order"):
            group(tap)
    tap.done()


if __name__ == "__main__":
    main()
