#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""A remote that is away: what is for it waits in the journal.

The remote is a plain MQTT 3.1.1 server in this file, which is there or not.
Numbers are published by HTTP and MQTT meanwhile; when it comes, all that was
acknowledged must arrive, of each publisher in its order.  WEIR_BACKLOG_MIB says
how much is published in the first case.
"""

import json
import os
import signal
import socket
import struct
import threading
import time

import weir

MIB = 1 << 20
LARGE = int(os.environ.get("WEIR_BACKLOG_MIB", "200")) * MIB
SMALL = 24 * MIB
SIZE = 16384
BATCH = 16
WINDOW = 64
MOST_GROWTH = 48 * 1024  # KiB
RING = {"capacity": "256KiB", "max_capacity": "1MiB"}
QUIET = 1.5  # seconds without an answer: it is held


class Far(threading.Thread):
    """The remote: what it acknowledged, by publisher, in order."""

    def __init__(self):
        super().__init__(daemon=True)
        self.port = weir.free_port()
        self.got = {}
        self.is_there = False
        self.ends = False
        self.broken = None
        self.start()

    def run(self):
        try:
            while not self.ends:
                if self.is_there:
                    self.live()
                else:
                    time.sleep(0.02)
        except Exception as error:  # told by who waits for it
            self.broken = error

    def live(self):
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", self.port))
            listener.listen(8)
            listener.settimeout(0.1)
            while self.is_there and not self.ends:
                try:
                    sock, _ = listener.accept()
                except socket.timeout:
                    continue
                with sock:
                    self.serve(sock)

    def serve(self, sock):
        link = weir.Mqtt.__new__(weir.Mqtt)
        link.version, link.sock, link.buffer = 4, sock, bytearray()
        try:
            kind, _, _ = link.read(10)
            weir.expect(kind == weir.CONNECT, "packet %d first" % kind)
            link.send(weir.packet(weir.CONNACK, 0, b"\0\0"))
            while self.is_there and not self.ends:
                try:
                    kind, flags, body = link.read(0.2)
                except AssertionError as error:
                    if "no packet" in str(error):
                        continue
                    raise
                self.handle(link, kind, flags, body)
        except (EOFError, OSError):
            return

    def handle(self, link, kind, flags, body):
        if kind == weir.PINGREQ:
            link.send(weir.packet(weir.PINGRESP))
            return
        if kind == weir.DISCONNECT:
            raise EOFError
        weir.expect(kind == weir.PUBLISH, "packet type %d" % kind)
        message = weir.Message(flags, body, 4)
        weir.expect(len(message.payload) == SIZE, "%d bytes" % len(message.payload))
        who, number = message.payload[:64].split()[:2]
        self.got.setdefault(who.decode(), []).append(int(number))
        if message.qos:
            link.send(weir.packet(weir.PUBACK, 0, struct.pack(">H", message.id)))

    def firsts(self, who):
        """Each number once, when it came first."""
        return list(dict.fromkeys(self.got.get(who, [])))

    def come(self):
        self.is_there = True

    def go(self):
        self.is_there = False

    def end(self):
        self.ends = True
        self.join(timeout=5)
        weir.expect(self.broken is None, self.broken)


def payload(who, number):
    return ("%s %d " % (who, number)).ljust(SIZE, "x")


class ByHttp(threading.Thread):
    """Numbers in batches; those that are not answered with success again."""

    def __init__(self, suite, total):
        super().__init__(daemon=True)
        self.suite = suite
        self.total = total
        self.accepted = 0
        self.refused = 0
        self.unknown = 0
        self.broken = None

    def run(self):
        connection = None
        while self.accepted < self.total and self.broken is None:
            try:
                if connection is None:
                    connection = weir.Http(self.suite.http_port, timeout=60)
                self.send(connection)
            except (EOFError, OSError):
                self.unknown += 1
                connection = None
                time.sleep(0.05)

    def send(self, connection):
        count = min(BATCH, self.total - self.accepted)
        batch = [
            {
                "topic": "cloud/http",
                "payload": payload("http", self.accepted + i),
                "qos": 1,
            }
            for i in range(count)
        ]
        status, _, body = connection.request(
            "POST", "/api/v4/mqtt/publish_batch", json.dumps(batch)
        )
        if status == 200:
            self.accepted += count
        elif status in (207, 429, 503, 504):
            self.refused += 1
            time.sleep(0.05)
        else:
            self.broken = "%d %.200s" % (status, body)


class ByMqtt(threading.Thread):
    """Numbers with a window; after a loss those that are unacknowledged again."""

    def __init__(self, suite, total, name="mqtt"):
        super().__init__(daemon=True)
        self.suite = suite
        self.total = total
        self.who = name
        self.accepted = 0
        self.losses = 0
        self.stopping = False

    def run(self):
        while self.accepted < self.total and not self.stopping:
            try:
                self.live()
            except (EOFError, OSError):
                self.losses += 1
                time.sleep(0.05)

    def live(self):
        client = weir.Mqtt(self.suite.port, self.who, keepalive=0)
        sent = self.accepted
        try:
            while self.accepted < self.total and not self.stopping:
                while sent < self.total and sent - self.accepted < WINDOW:
                    client.send(
                        weir.publish_packet(
                            "cloud/" + self.who,
                            payload(self.who, sent),
                            1,
                            sent % 65535 + 1,
                        )
                    )
                    sent += 1
                try:
                    body = client.expect(weir.PUBACK, 0.5)
                except AssertionError as error:
                    if "no packet" in str(error):
                        continue
                    raise
                number = struct.unpack(">H", body[:2])[0]
                weir.expect(
                    number == self.accepted % 65535 + 1, "PUBACK out of order"
                )
                self.accepted += 1
        finally:
            client.cut()


def settings(far, **more):
    bridge = {
        "name": "cloud",
        "url": "mqtt://127.0.0.1:%d" % far.port,
        "protocol": "3.1.1",
        "forward": [{"filter": "cloud/#", "qos": 1}],
        "retry_min": "20ms",
        "retry_max": "200ms",
        "ring": RING,
    }
    bridge.update(more)
    return {"durability": "disk", "workers": 2, "bridges": [bridge]}


def figures(suite):
    status = json.loads(suite.ctl("status", "--json"))
    return next(b for b in status["bridges"] if b["name"] == "cloud")


def is_sanitized(suite):
    """A sanitizer keeps what is freed, and reserves terabytes."""
    with open("/proc/%d/status" % suite.pid("weir-broker")) as f:
        size = next(line.split()[1] for line in f if line.startswith("VmSize:"))
    return int(size) > 1 << 30


def private_kib(suite):
    """Resident memory of the broker without that of the rings."""
    with open("/proc/%d/status" % suite.pid("weir-broker")) as f:
        fields = dict(line.split(":", 1) for line in f if ":" in line)
    return sum(int(fields[name].split()[0]) for name in ("RssAnon", "RssFile"))


def come_from(far, who):
    """How many; it fails when the remote has."""
    weir.expect(far.broken is None, "the remote: %r" % far.broken)
    return len(far.got.get(who, []))


def arrives(tap, name, suite, far, publishers, seconds=120):
    with tap.case(name + ": all arrives, of each publisher in its order"):
        for who, count in publishers:
            weir.wait_for(
                "%s %d (there are %d)" % (who, count, len(far.got.get(who, []))),
                lambda: come_from(far, who) >= count
                and len(far.firsts(who)) >= count,
                seconds,
                pause=0.2,
            )
            weir.expect(far.firsts(who) == list(range(count)), "%s out of order" % who)
    again = sum(len(got) for got in far.got.values()) - sum(
        len(far.firsts(who)) for who in far.got
    )
    tap.note("%s: %d came again" % (name, again))
    with tap.case(name + ": the figures add up, nothing waits"):

        last = {}

        def at_rest():
            last.update(figures(suite))
            return last["queued"] == 0 and last["backlog_bytes"] == 0

        try:
            weir.wait_for("it is at rest", at_rest)
        except AssertionError as error:
            raise AssertionError("%s: %r" % (error, last)) from None
        b = last
        total = b["delivered"] + b["queued"] + b["dropped"] + b["dead"]
        weir.expect(b["accepted"] == total, "accepted %d of %r" % (total, b))


def away_for_long(tap):
    far = Far()
    with weir.Weir(**settings(far, backlog="256MiB")) as suite:
        by_http = ByHttp(suite, LARGE // 2 // SIZE)
        by_mqtt = ByMqtt(suite, LARGE // 2 // SIZE)
        # What it takes when it works, without a backlog.
        weir.expect(suite.publish("other", "warm-up") == 200, "warm-up")
        before = private_kib(suite)
        begin = time.monotonic()
        by_http.start()
        by_mqtt.start()
        most = before
        name = "away for %d MiB" % (LARGE // MIB)
        with tap.case(name + ": every producer is let through"):
            while by_http.is_alive() or by_mqtt.is_alive():
                most = max(most, private_kib(suite))
                weir.expect(by_http.broken is None, by_http.broken)
                weir.expect(
                    time.monotonic() - begin < 240,
                    "%d and %d" % (by_http.accepted, by_mqtt.accepted),
                )
                time.sleep(0.1)
            weir.expect(by_http.refused == 0, "%d refused" % by_http.refused)
            b = figures(suite)
            weir.expect(not b["backlog_full"], "the backlog is full: %r" % b)
            weir.expect(b["stalled"] is False, "it stalls: %r" % b)
        tap.note(
            "%s: %.1f s, %d MiB in the journal"
            % (name, time.monotonic() - begin, figures(suite)["backlog_bytes"] // MIB)
        )
        with tap.case(name + ": why names the backlog"):
            weir.wait_for(
                "why says so",
                lambda: "wait in the journal" in suite.ctl("why", "cloud", check=False),
            )
        begin = time.monotonic()
        far.come()
        count = LARGE // 2 // SIZE
        arrives(tap, name, suite, far, [("http", count), ("mqtt", count)], 240)
        tap.note("%s: came in %.1f s" % (name, time.monotonic() - begin))
        most = max(most, private_kib(suite))
        with tap.case(name + ": the broker's memory is flat"):
            if is_sanitized(suite):
                raise weir.Skip("a sanitizer keeps what is freed")
            weir.expect(
                most - before < MOST_GROWTH, "from %d to %d KiB" % (before, most)
            )
        tap.note("%s: resident %d to %d KiB" % (name, before, most))
        far.end()


def both(suite, total):
    publishers = [ByHttp(suite, total // 2 // SIZE), ByMqtt(suite, total // 2 // SIZE)]
    for publisher in publishers:
        publisher.start()
    return publishers


def kill(suite, name):
    pid = suite.pid(name)
    weir.kill(pid, signal.SIGKILL)
    weir.wait_for(
        name + " is back", lambda: [p for p in suite.pids(name) if p != pid]
    )
    suite.wait_ready()


def killed(tap, victims):
    far = Far()
    name = "kill -9 of " + ", ".join(victims)
    count = SMALL // 2 // SIZE
    with weir.Weir(**settings(far, backlog="256MiB")) as suite:
        publishers = both(suite, SMALL)
        with tap.case(name + ": publishers go on"):
            for share, victim in enumerate(victims):
                weir.wait_for(
                    "a part is accepted",
                    lambda: publishers[1].accepted
                    > count * (share + 1) // (len(victims) + 1),
                    60,
                )
                kill(suite, victim)
            for publisher in publishers:
                publisher.join(timeout=60)
                weir.expect(
                    publisher.accepted == count, "%d accepted" % publisher.accepted
                )
        far.come()
        with tap.case(name + ": and again while it goes out"):
            for share, victim in enumerate(victims):
                weir.wait_for(
                    "a part has come",
                    lambda: come_from(far, "mqtt")
                    > count * (share + 1) // (len(victims) + 1),
                    60,
                )
                kill(suite, victim)
        arrives(tap, name, suite, far, [("http", count), ("mqtt", count)])
        far.end()


def stopped(tap):
    far = Far()
    count = SMALL // 2 // SIZE
    with weir.Weir(**settings(far, backlog="256MiB")) as suite:
        publishers = both(suite, SMALL)
        for publisher in publishers:
            publisher.join(timeout=60)
        with tap.case("stop and start: the stop says what stays"):
            weir.expect(suite.shut_down() == 0, "exit status")
            weir.expect(suite.logged("event=backlog_kept"), "nothing is said")
            suite.start()
            suite.wait_ready()
            b = figures(suite)
            weir.expect(b["queued"] >= 2 * count, "%r" % b)
        far.come()
        weir.wait_for("some have come", lambda: come_from(far, "mqtt") > 100, 60)
        with tap.case("stop and start: and again while it goes out"):
            weir.expect(suite.shut_down() == 0, "exit status")
            suite.start()
            suite.wait_ready()
        arrives(tap, "stop and start", suite, far, [("http", count), ("mqtt", count)])
        far.end()


def full(tap, backlog):
    """overflow = stall: publishers wait, and go on when it drains."""
    far = Far()
    name = "backlog of %s is full" % backlog
    count = SMALL // 4 // SIZE
    with weir.Weir(**settings(far, backlog=backlog)) as suite:
        by_mqtt = ByMqtt(suite, count)
        by_mqtt.start()

        def stands_still():
            accepted = by_mqtt.accepted
            time.sleep(QUIET)
            return accepted == by_mqtt.accepted and accepted > 0

        with tap.case(name + ": the publisher stalls"):
            weir.wait_for("it stands still", stands_still, 30)
            weir.expect(by_mqtt.accepted < count, "all was accepted")
        with tap.case(name + ": HTTP is refused with 429"):
            # Some may still get into their lane, and wait there.
            answers = []
            for _ in range(6):
                threading.Thread(
                    target=lambda: answers.append(
                        suite.publish("cloud/none", payload("none", 0))
                    ),
                    daemon=True,
                ).start()
            weir.wait_for("a refusal", lambda: 429 in answers, 30)
        with tap.case(name + ": others are served"):
            other = suite.mqtt("other")
            other.publish("other", "x", 1)
            weir.expect(suite.publish("other", "x") == 200, "HTTP")
            other.close()
        far.come()
        with tap.case(name + ": the publisher goes on"):
            by_mqtt.join(timeout=60)
            weir.expect(by_mqtt.accepted == count, "%d" % by_mqtt.accepted)
        arrives(tap, name, suite, far, [("mqtt", count)])
        far.end()


def rejected(tap):
    far = Far()
    name = "a full backlog that rejects"
    with weir.Weir(**settings(far, backlog="1MiB", overflow="reject")) as suite:
        client = suite.mqtt("v5", version=5, keepalive=0)
        accepted, refused = [], 0
        with tap.case(name + ": 0x97, and the client stays"):
            for number in range(300):
                client.send(
                    weir.publish_packet(
                        "cloud/v5", payload("v5", len(accepted)), 1, 1, version=5
                    )
                )
                body = client.expect(weir.PUBACK)
                reason = body[2] if len(body) > 2 else 0
                if reason == 0x97:
                    refused += 1
                    break
                weir.expect(reason < 0x80, "reason %#x" % reason)
                accepted.append(number)
            weir.expect(refused == 1 and len(accepted) > 64, "%d" % len(accepted))
            client.ping()
        with tap.case(name + ": HTTP gets 429"):
            weir.expect(suite.publish("cloud/x", payload("x", 0)) == 429, "not 429")
        with tap.case(name + ": QoS 0 is dropped and counted"):
            before = figures(suite)["dropped"]
            client.send(weir.publish_packet("cloud/q", "0", version=5))
            client.ping()
            weir.wait_for(
                "it is counted",
                lambda: figures(suite)["dropped"] > before
                or figures(suite)["refused"] > 0,
            )
        far.come()
        arrives(tap, name, suite, far, [("v5", len(accepted))])
        client.close()
        far.end()


def main():
    tap = weir.Tap(limit=900)
    away_for_long(tap)
    killed(tap, ["weir-broker"])
    killed(tap, ["weir-bridged", "weir-httpd", "weir-broker"])
    stopped(tap)
    full(tap, "1MiB")
    full(tap, "0")
    rejected(tap)
    tap.done()


if __name__ == "__main__":
    main()
