#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""The power fails under traffic: what was acknowledged is there again.

The journal lies on an ext4 of its own, on a loop device.  The cut is the
file system's own: its shutdown ioctl, without writing out its log, drops all
that was not synced, and every write fails from then on.  Then all processes
of Weir are killed, the file system is mounted again, and Weir starts.

WEIR_SEED repeats a plan, WEIR_ROUNDS sets the number of cuts."""

import contextlib
import fcntl
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import time

import weir

sys.path.insert(0, os.path.join(weir.SOURCE, "tests", "torture"))

import steady  # noqa: E402

EXT4_IOC_SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = 2
DISK_SIZE = "256M"
LIMIT = steady.LIMIT


class Disk:
    """An ext4 on a loop device, mounted at `path`."""

    def __init__(self):
        if os.getuid() != 0:
            raise weir.Skip("only root may mount")
        self.dir = tempfile.mkdtemp(prefix="weir-disk-")
        self.image = os.path.join(self.dir, "image")
        self.path = os.path.join(self.dir, "mounted")
        self.is_mounted = False
        os.mkdir(self.path)
        try:
            self.run("truncate", "-s", DISK_SIZE, self.image)
            self.run("mkfs.ext4", "-q", "-F", self.image)
            self.mount()
        except (OSError, subprocess.CalledProcessError) as error:
            self.end()
            raise weir.Skip("no ext4 on a loop device: %s" % error) from None

    def run(self, *command):
        subprocess.run(
            command,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def mount(self):
        self.run("mount", "-o", "loop", self.image, self.path)
        self.is_mounted = True

    def unmount(self):
        """Threads of who was killed may still be on their way out."""

        def is_done():
            with contextlib.suppress(subprocess.CalledProcessError):
                self.run("umount", self.path)
                return True

        weir.wait_for("nobody has the disk open", is_done)
        self.is_mounted = False

    def fail(self):
        """Nothing reaches it any more, nor what is on the way."""
        root = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(root, EXT4_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(root)

    def end(self):
        if self.is_mounted:
            with contextlib.suppress(AssertionError):
                self.unmount()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


def settings(disk, remote):
    return {
        "durability": "disk",
        "max_queued_messages": 1000000,
        "max_queued_bytes": "64MiB",
        "state_dir": os.path.join(disk.path, "state"),
        "journal": {"max_size": "16MiB", "segment_size": "256KiB"},
        "max_packet_size": "8KiB",
        "bridges": [
            {
                "name": "cloud",
                "url": "mqtt://127.0.0.1:%d" % remote.port,
                "forward": [{"filter": "power/#", "qos": 1}],
                "ring": {"capacity": "64KiB", "max_capacity": "64KiB"},
                "backlog": "8MiB",
                "retry_max": "1s",
            }
        ],
    }


def cast_of(suite):
    """Two publishers of each QoS, two by HTTP; two who listen, two away."""
    port = suite.port
    return steady.Cast(
        [
            steady.Publisher(
                port, name, qos, "power/" + name, "power/retained/" + name
            )
            for name, qos in (("q1a", 1), ("q1b", 1), ("q2a", 2), ("q2b", 2))
        ],
        [
            steady.HttpPublisher(suite, name, "power/" + name)
            for name in ("http-a", "http-b")
        ],
        [
            steady.Subscriber(port, "there-%d" % qos, qos, "power/#")
            for qos in (1, 2)
        ],
        [
            steady.Subscriber(port, "away-%d" % qos, qos, "power/#")
            for qos in (1, 2)
        ],
    )


def cut(disk, suite, lingers):
    """The disk is gone, then all else is; or not at once."""
    broker = suite.pid("weir-broker")
    disk.fail()
    if lingers:
        weir.wait_for(
            "the broker says that its disk is ill",
            lambda: suite.logged("event=journal_failing"),
        )
        weir.expect(weir.is_alive(broker), "the broker lives without a disk")
    suite.kill_all()
    disk.unmount()
    disk.mount()
    suite.start()
    suite.wait_ready()


def torment(tap, disk, suite, cast, rounds, dice):
    stale = []
    for number in range(rounds):
        cast.goes_on(20 + dice.randrange(60))
        time.sleep(dice.random() * 0.05)
        lingers = number % 2 == 1
        before = cast.accepted()
        with tap.case("cut %d: it starts again" % (number + 1)):
            cut(disk, suite, lingers)
        tap.note("%d acknowledged before cut %d" % (before, number + 1))
        for one in cast.publishers:
            stale += steady.stale_retained(one)
    cast.goes_on(10)
    tap.ok(not stale, "retained messages are as new as acknowledged", stale)


def check_receiver(tap, cast, name, numbers_of, is_once):
    """All that was accepted, in order; once, if it is to be."""
    sources = list(cast.sources())
    with tap.case("%s: nothing acknowledged is lost" % name):
        try:
            weir.wait_for(
                "all arrives",
                lambda: all(n <= set(numbers_of(s)) for s, _, n in sources),
                LIMIT,
                pause=0.3,
            )
        except AssertionError:
            for source, _, numbers in sources:
                lost = sorted(numbers - set(numbers_of(source)))
                weir.expect(
                    not lost, "%d of %s: %s" % (len(lost), source, lost[:5])
                )
    wrong = {s: steady.unordered(numbers_of(s)) for s, _, _ in sources}
    tap.ok(not any(wrong.values()), "%s: all first come in order" % name, wrong)
    if is_once:
        wrong = {
            s: steady.repeated(numbers_of(s)) for s, qos, _ in sources if qos == 2
        }
        tap.ok(not any(wrong.values()), "%s: QoS 2 comes once" % name, wrong)


def check(tap, cast, remote):
    for one in cast.there + cast.away:
        check_receiver(
            tap,
            cast,
            one.client_id,
            lambda source, one=one: one.got.get(source, []),
            one.qos == 2,
        )
        tap.ok(
            one.lost_sessions == 0 and not one.wrong,
            one.client_id + ": its session was never gone",
            one.wrong[:3],
        )

    check_receiver(tap, cast, "the remote", steady.Numbers(remote).of, False)


def run(tap, disk, mosquitto, rounds, dice):
    there = weir.Collector(mosquitto.port, "power/#", qos=1)
    mosquitto.stop()
    with weir.Weir(**settings(disk, mosquitto)) as suite:
        cast = cast_of(suite)
        cast.begin()
        torment(tap, disk, suite, cast, rounds, dice)
        with tap.case("all that was sent is acknowledged in the end"):
            cast.settle()
        tap.note("%d acknowledged" % cast.accepted())
        ring = suite.ring("broker→cloud")
        tap.note("in the ring of the bridge: %d bytes" % ring["used"])
        tap.ok(
            ring["messages_in"] - ring["messages_out"] < cast.accepted(),
            "most of what the bridge owes is in the journal alone",
        )
        mosquitto.go_on()
        cast.come_back()
        check(tap, cast, there)
        cast.end()
    there.stop()


def main():
    seed = int(os.environ.get("WEIR_SEED", time.time()))
    rounds = int(os.environ.get("WEIR_ROUNDS", "4"))
    tap = weir.Tap(limit=300 + 20 * rounds)
    tap.note("seed %d" % seed)
    with tap.case("nothing acknowledged is lost in %d power cuts" % rounds):
        with Disk() as disk, weir.Mosquitto() as mosquitto:
            run(tap, disk, mosquitto, rounds, random.Random(seed))
    tap.done()


if __name__ == "__main__":
    main()
