#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""A journal that is full, and a disk that is: refused, told once, gone on.

What was acknowledged before is there afterwards; what was refused is nowhere.
"""

import contextlib
import json
import os
import struct
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import weir  # noqa: E402

PAYLOAD = "x" * 8000
FOREVER = b"\x11" + struct.pack(">I", 0xFFFFFFFF)
QUOTA_EXCEEDED = 0x97
MOST = 20000  # messages until something must be full


def settings(**more):
    keys = {
        "durability": "disk",
        "max_packet_size": "16KiB",
        "max_queued_messages": 1000000,
        "max_queued_bytes": "1GiB",
        "journal": {"max_size": "16MiB", "segment_size": "1MiB"},
    }
    keys.update(more)
    return keys


def publisher(suite):
    return weir.Mqtt(suite.port, "", version=5)


def leave_subscription(suite, name="away"):
    client = weir.Mqtt(suite.port, name, version=5, clean=False, properties=FOREVER)
    client.subscribe("full/#", 1)
    client.close()


def publish_one(client, number):
    """The reason code of the PUBACK."""
    packet_id = client.new_id()
    client.send(
        weir.publish_packet(
            "full/t", "%d %s" % (number, PAYLOAD), 1, packet_id, version=5
        )
    )
    body = client.expect(weir.PUBACK)
    weir.expect(body[:2] == struct.pack(">H", packet_id), "PUBACK of another")
    return body[2] if len(body) > 2 else 0


def fill(suite):
    """Publish until it is refused; the numbers that were accepted, the code."""
    client = publisher(suite)
    accepted = []
    for number in range(1, MOST):
        reason = publish_one(client, number)
        if reason >= 0x80:
            client.ping()
            client.close()
            return accepted, reason
        accepted.append(number)
    raise AssertionError("%d messages, and it is not full" % MOST)


def drain(suite, count, name="away"):
    """The numbers that the session gets, as they come."""
    client = weir.Mqtt(suite.port, name, version=5, clean=False, properties=FOREVER)
    weir.expect(client.session_present, "the session is not there")
    numbers = []
    while len(numbers) < count:
        numbers.append(int(client.receive().payload.split()[0]))
    is_all = client.is_silent(0.3)
    client.close()
    weir.expect(is_all, "more came than was accepted")
    return numbers


def accepts_again(suite):
    client = publisher(suite)
    try:
        return publish_one(client, 0) < 0x80
    finally:
        client.close()


def count_lines(suite, event):
    with open(suite.log, errors="replace") as log:
        return sum("event=%s " % event in line for line in log)


def check_full(tap, suite, what):
    leave_subscription(suite)
    accepted, reason = fill(suite)
    tap.equal(reason, QUOTA_EXCEEDED, "%s: MQTT 5.0 is told 0x97" % what)
    tap.note("%d messages of 8 KB were accepted" % len(accepted))
    body = json.dumps({"topic": "full/t", "payload": PAYLOAD, "qos": 1})
    status, headers, text = suite.http("POST", "/api/v4/mqtt/publish", body)
    tap.equal(status, 503, "%s: HTTP is told 503" % what)
    tap.ok(
        "retry-after" in {name.lower() for name in headers},
        "%s: and when to come again" % what,
        (headers, text),
    )
    with tap.case("%s: who speaks MQTT 3.1.1 is closed, unanswered" % what):
        old = weir.Mqtt(suite.port, "old")
        old.publish("full/t", PAYLOAD, qos=1, wait=False)
        weir.expect(old.is_closed(), "it is open")
    with tap.case("%s: QoS 0 and pings go on" % what):
        reader = weir.Mqtt(suite.port, "reader")
        reader.subscribe("other", 0)
        other = weir.Mqtt(suite.port, "other")
        other.publish("other", "hello", qos=0)
        weir.expect(reader.receive().payload == b"hello", "another payload")
        other.ping()
        other.close()
        reader.close()
    return accepted


def check_after(tap, suite, what, pid, accepted):
    with tap.case("%s: what was accepted comes, once, in order" % what):
        weir.expect(drain(suite, len(accepted)) == accepted, "it does not")
    with tap.case("%s: it accepts again by itself" % what):
        weir.wait_for("a PUBACK", lambda: accepts_again(suite))
    tap.equal(suite.pid("weir-broker"), pid, "%s: the broker never ended" % what)


def check_limit(tap):
    with weir.Weir(**settings()) as suite:
        pid = suite.pid("weir-broker")
        accepted = check_full(tap, suite, "at max_size")
        check_after(tap, suite, "at max_size", pid, accepted)
        with tap.case("at max_size: the log says once that it began, and ended"):
            weir.wait_for(
                "both lines", lambda: count_lines(suite, "journal_resumed") == 1
            )
            began = count_lines(suite, "journal_failing")
            weir.expect(began == 1, "it began %d times" % began)


@contextlib.contextmanager
def small_disk(directory, mib):
    os.makedirs(directory, mode=0o700, exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=%dm,mode=700" % mib, "weir", directory],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if done.returncode != 0:
        raise weir.Skip("no tmpfs can be mounted: %r" % done.stdout)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", directory], check=False)


def check_disk(tap):
    """The file system lacks space long before max_size."""
    box = weir.Box()
    state = os.path.join(box.dir, "state")
    keys = settings(
        state_dir=state, journal={"max_size": "1GiB", "segment_size": "1MiB"}
    )
    try:
        with small_disk(state, 12):
            with weir.Weir(**keys) as suite:
                pid = suite.pid("weir-broker")
                accepted = check_full(tap, suite, "disk full")
                check_after(tap, suite, "disk full", pid, accepted)
    finally:
        box.end()


def main():
    tap = weir.Tap()
    with tap.case("a journal at its limit"):
        check_limit(tap)
    with tap.case("a disk without space"):
        if os.geteuid() != 0:
            raise weir.Skip("only root can mount a small disk")
        check_disk(tap)
    tap.done()


if __name__ == "__main__":
    main()
