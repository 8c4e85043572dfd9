#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""A bridge's overflow policy and backlog are changed while it is full.

Each pair of policies under a remote that is stopped: who is held goes on or is
refused, who was let through is held, by SIGHUP alone; other topics never
notice, and at the end the books come out.
"""

import json
import signal

import weir

RING = {"capacity": "64KiB", "max_capacity": "64KiB"}
BODY = "x" * 900
SUCCESS, QUOTA_EXCEEDED = 0x00, 0x97
HELD = 1.0  # seconds without an answer


def suite(remote, overflow, durability, backlog):
    return weir.Weir(
        http={"stall_timeout": "200ms"},
        durability=durability,
        workers=1,
        worker_window="8KiB",
        bridges=[
            {
                "name": "cloud",
                "type": "mqtt",
                "url": "mqtt://127.0.0.1:%d" % remote.port,
                "forward": [{"filter": "bridge/#", "qos": 1}],
                "retry_min": "50ms",
                "retry_max": "200ms",
                "ring": RING,
                "backlog": backlog,
                "overflow": overflow,
            }
        ],
    )


def change(run, **keys):
    run.settings["bridges"][0].update(keys)
    with open(run.config, "w") as f:
        f.write(weir.libconfig(run.settings))
    run.child.send_signal(signal.SIGHUP)


def books(run):
    status = json.loads(run.ctl("status", "--json"))
    return next(b for b in status["bridges"] if b["name"] == "cloud")


def come_out(run):
    def at_rest():
        b = books(run)
        return b if b["queued"] == 0 and b["producers"]["under_way"] == 0 else None

    b = weir.wait_for("nothing waits", at_rest)
    p = b["producers"]
    weir.expect(b["off_by"] == 0 and p["off_by"] == 0, "%r" % b)
    weir.expect(
        p["offered"] == p["accepted"] + p["refused"] + p["unknown"], "%r" % b
    )
    return b


class Client:
    """An MQTT 5.0 client that publishes one by one."""

    def __init__(self, run, name="client"):
        self.client = run.mqtt(name, version=5, keepalive=0)
        self.taken = 0

    def send(self):
        self.client.send(
            weir.publish_packet("bridge/m", BODY, 1, self.client.new_id(), version=5)
        )

    def answer(self, seconds=HELD):
        """The reason code, or None: it is held."""
        try:
            body = self.client.expect(weir.PUBACK, seconds)
        except AssertionError:
            return None
        reason = body[2] if len(body) > 2 else SUCCESS
        self.taken += reason == SUCCESS
        return reason

    def is_refused(self):
        self.send()
        return self.answer(10)

    def until(self, reason, most=400):
        """Publish until that is the answer."""
        for _ in range(most):
            self.send()
            got = self.answer()
            if got == reason:
                return
            weir.expect(got == SUCCESS, "answer %r" % got)
        raise AssertionError("never %r" % reason)


def http(run, topic="bridge/h"):
    return run.publish(topic, BODY)


class Full:
    """A suite with a remote that is stopped, until the end."""

    def __init__(self, overflow, durability, backlog="0"):
        self.remote = weir.Mosquitto()
        try:
            self.run = suite(self.remote, overflow, durability, backlog)
        except BaseException:
            self.remote.__exit__()
            raise
        self.client = Client(self.run)
        self.remote.stop()

    def __enter__(self):
        return self

    def __exit__(self, kind, *rest):
        self.remote.go_on()
        try:
            self.run.__exit__(kind, *rest)
        finally:
            self.remote.__exit__()


def unbridged(run):
    weir.expect(http(run, "other") == 200, "another topic is refused")


def stall_to_drop(tap, durability, policy):
    name = "%s: stall, then %s: " % (durability, policy)
    with Full("stall", durability) as at:
        with tap.case(name + "who is held goes on at once"):
            at.client.until(None)
            weir.expect(http(at.run) == 429, "HTTP is not refused")
            change(at.run, overflow=policy)
            weir.expect(at.client.answer(10) == SUCCESS, "it is held still")
            for _ in range(100):
                at.client.send()
                weir.expect(at.client.answer(10) == SUCCESS, "held or refused")
            weir.wait_for("HTTP is taken", lambda: http(at.run) == 200, 5)
            for _ in range(20):
                weir.expect(http(at.run) == 200, "HTTP is refused")
            unbridged(at.run)
            weir.expect(books(at.run)["overflow"] == policy, "status")
        at.remote.go_on()
        with tap.case(name + "the books come out"):
            b = come_out(at.run)
            weir.expect(b["dropped"] > 0, "%r" % b)
            tap.note("accepted %(accepted)d delivered %(delivered)d dropped %(dropped)d" % b)


def drop_to_stall(tap, durability, policy):
    name = "%s: %s, then stall: " % (durability, policy)
    with Full(policy, durability) as at:
        with tap.case(name + "who was let through is held"):
            for _ in range(300):
                at.client.send()
                weir.expect(at.client.answer(10) == SUCCESS, "held or refused")
            # What drop_oldest skips in the ring is told with what is in flight.
            if policy == "drop_newest":
                weir.wait_for("some are dropped", lambda: books(at.run)["dropped"])
            change(at.run, overflow="stall")
            at.client.until(None)
            weir.wait_for("HTTP is refused", lambda: http(at.run) == 429, 5)
            weir.expect(http(at.run) == 429, "HTTP is taken")
            unbridged(at.run)
            sent = at.client.taken
        at.remote.go_on()
        with tap.case(name + "nothing more is lost, and the books come out"):
            weir.expect(at.client.answer(10) == SUCCESS, "it is held still")
            weir.wait_for("HTTP is taken", lambda: http(at.run) == 200)
            b = come_out(at.run)
            weir.expect(0 < b["dropped"] < 300, "%r" % b)
            before = b["dropped"]
            for _ in range(100):
                at.client.send()
                weir.expect(at.client.answer(10) == SUCCESS, "held or refused")
            b = come_out(at.run)
            weir.expect(b["dropped"] == before, "%r" % b)
            tap.note("taken %d before, dropped %d" % (sent, before))


def stall_and_reject(tap, durability):
    name = "%s: stall, reject, stall: " % durability
    with Full("stall", durability) as at:
        with tap.case(name + "who is held is refused"):
            at.client.until(None)
            change(at.run, overflow="reject")
            # Without a journal it is on its way, and subscribers have it.
            if durability != "none":
                weir.expect(at.client.answer(10) == QUOTA_EXCEEDED, "not refused")
            weir.wait_for(
                "it is told", lambda: at.run.logged("overflow=reject former=stall")
            )
            other = Client(at.run, "other")
            weir.wait_for(
                "new ones are refused", lambda: other.is_refused() == QUOTA_EXCEEDED
            )
            weir.expect(http(at.run) == 429, "HTTP is taken")
        with tap.case(name + "and held again"):
            change(at.run, overflow="stall")
            weir.wait_for(
                "it is told", lambda: at.run.logged("overflow=stall former=reject")
            )
            other.send()
            weir.expect(other.answer() is None, "it is not held")
            unbridged(at.run)
        at.remote.go_on()
        with tap.case(name + "the books come out"):
            weir.expect(other.answer(10) == SUCCESS, "it is held still")
            if durability == "none":
                weir.expect(at.client.answer(10) == SUCCESS, "it is held still")
            b = come_out(at.run)
            weir.expect(b["dropped"] == 0, "%r" % b)
            weir.expect(b["accepted"] == at.client.taken + other.taken, "%r" % b)


def more_backlog(tap):
    name = "backlog: "
    with Full("stall", "disk", "64KiB") as at:
        with tap.case(name + "who is held goes on with more of it"):
            at.client.until(None)
            change(at.run, backlog="1MiB")
            weir.expect(at.client.answer(10) == SUCCESS, "it is held still")
            for _ in range(200):
                at.client.send()
                weir.expect(at.client.answer(10) == SUCCESS, "held")
            weir.wait_for("HTTP is taken", lambda: http(at.run) == 200, 5)
        with tap.case(name + "with less of it nothing is lost"):
            change(at.run, backlog="64KiB")
            weir.wait_for(
                "it is told", lambda: books(at.run)["backlog"] == 64 << 10
            )
            at.client.until(None)
        at.remote.go_on()
        with tap.case(name + "the books come out"):
            weir.expect(at.client.answer(10) == SUCCESS, "it is held still")
            b = come_out(at.run)
            weir.expect(b["dropped"] == 0, "%r" % b)


def main():
    tap = weir.Tap()
    for what, arguments in (
        (stall_to_drop, ("disk", "drop_oldest")),
        (stall_to_drop, ("none", "drop_oldest")),
        (stall_to_drop, ("disk", "drop_newest")),
        (drop_to_stall, ("disk", "drop_newest")),
        (drop_to_stall, ("none", "drop_newest")),
        (drop_to_stall, ("disk", "drop_oldest")),
        (stall_and_reject, ("disk",)),
        (stall_and_reject, ("none",)),
        (more_backlog, ()),
    ):
        tap.attempt(what, *arguments)
    tap.done()


if __name__ == "__main__":
    main()
