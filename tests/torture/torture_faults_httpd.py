#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""The n-th call of weir-httpd to the system fails, for every n.

	torture_faults_httpd.py LIBRARY [SAMPLES]

LIBRARY is fail_nth.c, compiled.  Clients go through a round: messages, batches,
bodies in chunks and larger than a read, wrong passwords, requests one behind
the other, metrics, connections that come and go.  In each round another
allocation or mapping fails: once, or several in a row.  weir-httpd must not
end, and nobody is told anything but the truth: what was answered 200 has been
delivered, and who could not be served gets a 5xx or loses the connection.
Afterwards it serves as before.

SAMPLES limits the rounds of each kind; they are then spread over all n."""

import errno
import json
import os
import re
import socket
import sys
import time

from torture_faults import KINDS, LIMIT, Control, numbers, show_log
from steady import weir

PUBLISH = "/api/v4/mqtt/publish"
BATCH = "/api/v4/mqtt/publish_batch"
HONEST = (200, 207, 401, 500, 503, 504)
TROUBLE = (OSError, EOFError, ValueError, IndexError)


class Suite:
    def __init__(self, box, library):
        self.box = box
        self.port = weir.free_port()
        self.http_port = weir.free_port()
        self.log = os.path.join(box.dir, "log")
        self.config = os.path.join(box.dir, "weir.conf")
        self.control = Control(os.path.join(box.dir, "control"))
        self.library = os.path.abspath(library)
        settings = {
            "run_dir": os.path.join(box.dir, "run"),
            "state_dir": os.path.join(box.dir, "state"),
            "listeners": [{"bind": "127.0.0.1:%d" % self.port}],
            "allow_anonymous": True,
            "durability": "none",
            "accounts": [{"name": "admin", "password": "public"}],
            "http": {
                "bind": "127.0.0.1:%d" % self.http_port,
                "receipt_timeout": "2s",
                "rate_per_filter": [
                    {"name": "all", "filter": "#", "per_second": 100000}
                ],
            },
        }
        for name in ("run_dir", "state_dir"):
            os.makedirs(settings[name], mode=0o700)
        with open(self.config, "w") as f:
            f.write(weir.libconfig(settings))
        self.spawn([weir.program("weir-broker"), "-c", self.config])
        self.child = None
        self.number = 0
        self.accepted = set()

    def spawn(self, argv):
        with open(self.log, "ab") as log:
            return self.box.spawn(argv, log)

    def start(self):
        self.control.forget()
        self.child = self.spawn(
            [
                "env",
                "LD_PRELOAD=" + self.library,
                "WEIR_FAIL_CONTROL=" + self.control.path,
                weir.program("weir-httpd"),
                "-c",
                self.config,
            ]
        )

    def is_alive(self):
        return self.child.poll() is None

    def serves(self):
        weir.expect(self.is_alive(), "it ended with %r" % self.child.returncode)
        try:
            return self.publish() == 200
        except TROUBLE:
            return False

    def wait_serving(self):
        weir.wait_for("weir-httpd serves", self.serves, LIMIT, pause=0.005)

    # ---- what clients do

    def message(self, size=10):
        self.number += 1
        name = "m%d" % self.number
        payload = name + " " + "x" * size
        return name, json.dumps({"topic": "faults/x", "payload": payload, "qos": 1})

    def told(self, status, names):
        weir.expect(status in HONEST, status)
        if status == 200:
            self.accepted.update(names)
        return status

    def publish(self, size=10):
        name, body = self.message(size)
        http = weir.Http(self.http_port, timeout=5)
        try:
            return self.told(http.request("POST", PUBLISH, body)[0], [name])
        finally:
            http.close()

    def pipelined(self):
        messages = [self.message() for _ in range(5)]
        http = weir.Http(self.http_port, timeout=5)
        try:
            for _, body in messages:
                http.send(http.head("POST", PUBLISH, len(body)) + body.encode())
            for name, _ in messages:
                self.told(http.response()[0], [name])
        finally:
            http.close()

    def batch(self):
        messages = [self.message() for _ in range(100)]
        http = weir.Http(self.http_port, timeout=5)
        try:
            body = "[" + ",".join(body for _, body in messages) + "]"
            status = http.request("POST", BATCH, body)[0]
            self.told(status, [name for name, _ in messages])
        finally:
            http.close()

    def chunked(self):
        name, body = self.message(100)
        http = weir.Http(self.http_port, timeout=5)
        try:
            top = http.head("POST", PUBLISH, None, {"Transfer-Encoding": "chunked"})
            http.send(top)
            for at in range(0, len(body), 40):
                piece = body[at : at + 40]
                http.send(b"%x\r\n%s\r\n" % (len(piece), piece.encode()))
            http.send(b"0\r\n\r\n")
            self.told(http.response()[0], [name])
        finally:
            http.close()

    def stranger(self):
        http = weir.Http(self.http_port, auth="admin:%d" % self.number, timeout=5)
        try:
            status = http.request("POST", PUBLISH, self.message()[1])[0]
            weir.expect(status != 200, "a wrong password is accepted")
            self.told(status, [])
        finally:
            http.close()

    def metrics(self):
        http = weir.Http(self.http_port, timeout=5)
        try:
            self.told(http.request("GET", "/metrics")[0], [])
        finally:
            http.close()

    def crowd(self):
        some = [
            socket.create_connection(("127.0.0.1", self.http_port), 5)
            for _ in range(40)
        ]
        for sock in some:
            sock.send(b"GET /heal")
        for sock in some:
            sock.close()

    def round(self):
        for act in (
            self.publish,
            lambda: self.publish(100000),
            self.pipelined,
            self.batch,
            self.chunked,
            self.stranger,
            self.metrics,
            self.crowd,
        ):
            try:
                act()
            except TROUBLE:
                pass


def check_arrived(suite, witness):
    """All that was answered 200 is there."""
    deadline = time.monotonic() + LIMIT
    lost = suite.accepted
    while lost and time.monotonic() < deadline:
        lost = suite.accepted - {p.split()[0] for p in witness.payloads()}
        if lost:
            time.sleep(0.02)
    weir.expect(not lost, "accepted and lost: %s" % sorted(lost)[:5])


def try_fault(suite, witness, kind, nth, times):
    suite.control.arm(kind, nth, times, errno.ENOMEM)
    suite.round()
    suite.control.disarm()
    failed = suite.control.failed()
    weir.expect(
        suite.is_alive(),
        "fault %d of %s: it ended with %r" % (nth, KINDS[kind], suite.child.returncode),
    )
    suite.wait_serving()
    check_arrived(suite, witness)
    return failed != 0


def fail_each(tap, suite, witness, samples):
    for name in ("memory", "mmap"):
        kind = KINDS.index(name)
        # A fresh process, as much is allocated once and kept.
        suite.child.kill()
        suite.child.wait()
        suite.start()
        suite.wait_serving()
        before = suite.control.count(kind)
        suite.round()
        count = suite.control.count(kind) - before
        for times in (1, 8):
            effective, failed = 0, tap.failed
            with tap.case("%s fails, %d in a row" % (name, times)):
                for nth in numbers(count, samples):
                    effective += try_fault(suite, witness, kind, nth, times)
                weir.expect(effective or name == "mmap", "nothing failed")
            show_log(tap, suite, failed)
            tap.note("%s: %d calls a round, %d failed" % (name, count, effective))
            if not suite.is_alive():
                suite.start()
                suite.wait_serving()


def fail_starts(tap, suite, samples):
    kind = KINDS.index("memory")
    suite.child.kill()
    suite.child.wait()
    suite.start()
    suite.wait_serving()
    count, ended = suite.control.count(kind), 0
    with tap.case("memory fails while it starts"):
        for nth in numbers(count, samples):
            suite.child.kill()
            suite.child.wait()
            suite.control.put(kind, 0)
            suite.control.arm(kind, nth, 1, errno.ENOMEM)
            suite.start()

            def is_decided():
                if not suite.is_alive():
                    return True
                try:
                    return suite.publish() == 200
                except TROUBLE:
                    return False

            weir.wait_for("it ends or serves", is_decided, LIMIT, pause=0.005)
            code = suite.child.poll()
            weir.expect(code is None or code > 0, "fault %d: %r" % (nth, code))
            ended += code is not None
            suite.control.disarm()
    tap.note("memory: %d calls, %d starts given up" % (count, ended))


def main():
    library = sys.argv[1]
    samples = int(sys.argv[2]) if len(sys.argv) > 2 else None
    tap = weir.Tap(limit=3600)
    box = weir.Box()
    try:
        suite = Suite(box, library)
        weir.wait_for("the broker is there", lambda: witness_of(suite), LIMIT)
        witness = suite.witness
        suite.start()
        suite.wait_serving()
        fail_each(tap, suite, witness, samples)
        fail_starts(tap, suite, samples)
        with open(suite.log, errors="replace") as f:
            bugs = re.findall(r"event=bug .*", f.read())
        tap.ok(not bugs, "no bug was noticed", bugs[:3])
    finally:
        box.end()
    tap.done()


def witness_of(suite):
    try:
        suite.witness = weir.Collector(suite.port, "faults/#", 1)
        return True
    except (OSError, EOFError):
        return False


if __name__ == "__main__":
    main()
