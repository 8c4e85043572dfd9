#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""The n-th call of weir-broker to the system fails, for every n.

	torture_faults.py LIBRARY [SAMPLES]

LIBRARY is fail_nth.c, compiled.  Clients go through a round: sessions that
stay, messages of QoS 1 and 2, retained ones, subscriptions, a will.  In each
round another call fails: memory, a write, a sync, an open or a mapping; once,
or several in a row.  The broker must not end, and what it acknowledges is
there when it is killed afterwards and started again.  Then the same while it
starts: it ends with an exit code, or it serves.

SAMPLES limits the rounds of each kind; they are then spread over all n."""

import errno
import mmap
import os
import re
import struct
import sys
import time

import steady
from steady import weir

KINDS = ("memory", "write", "sync", "open", "mmap")
NONE = len(KINDS)
NEVER = (1 << 64) - 1
LIMIT = 30


class Control:
    """struct control of fail_nth.c, shared with the broker."""

    def __init__(self, path):
        self.path = path
        with open(path, "wb") as f:
            f.write(b"\0" * mmap.PAGESIZE)
        self.file = open(path, "r+b")
        self.map = mmap.mmap(self.file.fileno(), mmap.PAGESIZE)
        self.disarm()

    def get(self, index):
        return struct.unpack_from("=Q", self.map, 8 * index)[0]

    def put(self, index, value):
        struct.pack_into("=Q", self.map, 8 * index, value)

    def count(self, kind):
        return self.get(kind)

    def failed(self):
        return self.get(len(KINDS) + 4)

    def arm(self, kind, nth, times, error):
        """The nth call of this kind from now on, and those behind it."""
        first = self.get(kind) + nth
        self.put(len(KINDS) + 4, 0)
        self.put(len(KINDS) + 1, first)
        self.put(len(KINDS) + 2, min(first + times, NEVER))
        self.put(len(KINDS) + 3, error)
        self.put(len(KINDS), kind)

    def disarm(self):
        self.put(len(KINDS), NONE)

    def forget(self):
        """For a process that counts from 0."""
        for kind in range(len(KINDS)):
            self.put(kind, 0)


class Broker:
    def __init__(self, box, library, **keys):
        self.box = box
        self.port = weir.free_port()
        self.log = os.path.join(box.dir, "log")
        self.config = os.path.join(box.dir, "weir.conf")
        self.control = Control(os.path.join(box.dir, "control"))
        self.library = os.path.abspath(library)
        settings = {
            "run_dir": os.path.join(box.dir, "run"),
            "state_dir": os.path.join(box.dir, "state"),
            "listeners": [{"bind": "127.0.0.1:%d" % self.port}],
            "allow_anonymous": True,
            "durability": "disk",
            "max_packet_size": "8KiB",
            "journal": {"max_size": "16MiB", "segment_size": "256KiB"},
            "workers": 2,
            **keys,
        }
        for name in ("run_dir", "state_dir"):
            os.makedirs(settings[name], mode=0o700)
        with open(self.config, "w") as f:
            f.write(weir.libconfig(settings))
        self.child = None

    def start(self):
        self.control.forget()
        with open(self.log, "ab") as log:
            self.child = self.box.spawn(
                [
                    "env",
                    "LD_PRELOAD=" + self.library,
                    "WEIR_FAIL_CONTROL=" + self.control.path,
                    weir.program("weir-broker"),
                    "-c",
                    self.config,
                ],
                log,
            )

    def answers(self):
        try:
            weir.Mqtt(self.port, "", timeout=2).close()
            return True
        except (OSError, EOFError, AssertionError):
            return False

    def wait_ready(self):
        def is_up():
            weir.expect(
                self.child.poll() is None,
                "the broker ended with %r" % self.child.returncode,
            )
            return self.answers()

        weir.wait_for("the broker answers", is_up, LIMIT, pause=0.005)

    def is_alive(self):
        return self.child.poll() is None

    def kill(self):
        self.child.kill()
        self.child.wait()


# --------------------------------------------------------------- a round

TROUBLE = (OSError, EOFError, AssertionError, IndexError, struct.error)


def drive(client, is_done, seconds):
    """Let a client of steady.py act until is_done(), or trouble, or late."""
    deadline = time.monotonic() + seconds
    try:
        link = weir.Mqtt(
            client.port, client.client_id, clean=False, keepalive=0, timeout=1
        )
    except TROUBLE:
        return
    try:
        if link.return_code != 0:
            return
        if client.was_there and not link.session_present:
            client.lost_sessions += 1
        client.begin(link, link.session_present)
        while not is_done() and time.monotonic() < deadline:
            client.turn(link)
        link.close()
    except TROUBLE:
        pass
    finally:
        link.sock.close()


def come_and_go(port):
    """Subscriptions, retained messages and a will of one who stays short."""
    try:
        link = weir.Mqtt(
            port,
            "short",
            clean=False,
            will=("will/short", "gone", 1, False),
            timeout=1,
        )
        link.sock.settimeout(1)
        for topic_filter in ("a/+/c", "other/#"):
            link.subscribe(topic_filter, 1)
        link.publish("other/kept", "kept", 1, retain=True)
        link.cut()
        weir.Mqtt(port, "short", clean=True, timeout=1).close()
    except TROUBLE:
        pass


class Cast:
    def __init__(self, port):
        self.port = port
        self.publishers = [
            steady.Publisher(
                port, "q%d" % qos, qos, "faults/q%d" % qos, "faults/kept/%d" % qos
            )
            for qos in (1, 2)
        ]
        self.there = steady.Subscriber(port, "there", 2, "faults/#")
        self.away = steady.Subscriber(port, "away", 2, "faults/#")

    def clients(self):
        return self.publishers + [self.there, self.away]

    def round(self):
        for one in self.publishers:
            wanted = len(one.accepted) + 4
            drive(one, lambda: len(one.accepted) >= wanted, 0.5)
        drive(self.there, self.has_all(self.there), 0.3)
        come_and_go(self.port)

    def has_all(self, subscriber):
        return lambda: all(
            one.accepted <= subscriber.seen.get(one.client_id, set())
            for one in self.publishers
        )

    def check(self):
        """After a kill: nothing acknowledged is lost, no QoS 2 twice."""
        has_all = self.has_all(self.away)
        deadline = time.monotonic() + LIMIT
        while not has_all() and time.monotonic() < deadline:
            drive(self.away, has_all, 2)
        for one in self.publishers:
            lost = one.accepted - self.away.seen.get(one.client_id, set())
            weir.expect(not lost, "%s: lost: %s" % (one.client_id, sorted(lost)[:5]))
        for client in self.clients():
            weir.expect(
                client.lost_sessions == 0, client.client_id + ": its session is gone"
            )
            weir.expect(not client.wrong, client.wrong[:3])
        twice = steady.repeated(self.away.got.get("q2", []))
        weir.expect(not twice, "QoS 2 came twice: %s" % twice[:30])


def try_fault(broker, cast, kind, nth, times, error):
    """True: something failed."""
    broker.control.arm(kind, nth, times, error)
    cast.round()
    broker.control.disarm()
    failed = broker.control.failed()
    weir.expect(
        broker.is_alive(),
        "fault %d of %s: the broker ended with %r"
        % (nth, KINDS[kind], broker.child.returncode),
    )
    broker.kill()
    broker.start()
    broker.wait_ready()
    cast.check()
    return failed != 0


def numbers(count, samples):
    """All below `count`, or so many of them, with the first and the last."""
    if samples is None or count <= samples:
        return range(count)
    return sorted({i * (count - 1) // (samples - 1) for i in range(samples)})


def show_log(tap, broker, failed_before):
    """What the broker said last, when something has just gone wrong."""
    if failed_before == 0 and tap.failed:
        tap.note(weir.tail(broker.log, 60))


def count_calls(broker, cast, kind):
    before = broker.control.count(kind)
    cast.round()
    return broker.control.count(kind) - before


def fail_each(tap, broker, cast, samples):
    for kind, name in enumerate(KINDS):
        count = count_calls(broker, cast, kind)
        for times in (1, 8):
            effective = 0
            failed = tap.failed
            with tap.case("%s fails, %d in a row" % (name, times)):
                for nth in numbers(count, samples):
                    error = (errno.EIO, errno.ENOSPC)[nth % 2]
                    if name in ("memory", "mmap"):
                        error = errno.ENOMEM
                    effective += try_fault(broker, cast, kind, nth, times, error)
                weir.expect(effective or name == "mmap", "nothing failed")
            show_log(tap, broker, failed)
            tap.note("%s: %d calls a round, %d failed" % (name, count, effective))
            if not broker.is_alive():
                broker.start()
                broker.wait_ready()


# --------------------------------------------------------------- a start


def start_with(broker, kind, nth):
    """Start with a fault: the exit code, or None if it serves."""
    broker.kill()
    broker.control.put(kind, 0)
    broker.control.arm(kind, nth, 1, errno.ENOMEM if kind in (0, 4) else errno.EIO)
    broker.start()
    weir.wait_for(
        "it ends or serves",
        lambda: not broker.is_alive() or broker.answers(),
        LIMIT,
        pause=0.005,
    )
    return broker.child.poll()


def fail_starts(tap, broker, cast, samples):
    for kind, name in enumerate(KINDS):
        broker.kill()
        broker.start()
        broker.wait_ready()
        count = broker.control.count(kind)
        ended = 0
        failed = tap.failed
        with tap.case("%s fails while it starts" % name):
            weir.expect(count, "no call is counted")
            for nth in numbers(count, samples):
                code = start_with(broker, kind, nth)
                weir.expect(
                    code is None or code > 0,
                    "fault %d of %s: it ended with %r" % (nth, name, code),
                )
                ended += code is not None
                broker.control.disarm()
                broker.kill()
                broker.start()
                broker.wait_ready()
                cast.round()
                cast.check()
        show_log(tap, broker, failed)
        broker.control.disarm()
        tap.note("%s: %d calls, %d starts given up" % (name, count, ended))


def main():
    library = sys.argv[1]
    samples = int(sys.argv[2]) if len(sys.argv) > 2 else None
    tap = weir.Tap(limit=7200)
    box = weir.Box()
    try:
        broker = Broker(box, library)
        broker.start()
        broker.wait_ready()
        cast = Cast(broker.port)
        for one in (cast.there, cast.away):
            drive(one, one.is_subscribed.is_set, 5)
        cast.round()
        fail_each(tap, broker, cast, samples)
        fail_starts(tap, broker, cast, samples)
        with open(broker.log, errors="replace") as f:
            bugs = re.findall(r"event=bug .*", f.read())
        tap.ok(not bugs, "no bug was noticed", bugs[:3])
    finally:
        box.end()
    tap.done()


if __name__ == "__main__":
    main()
