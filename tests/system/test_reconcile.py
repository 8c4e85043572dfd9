#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""The books of a bridge against what its clients and its remote saw.

	offered = accepted + refused + unknown
	accepted = delivered + queued + dropped + dead

by `weirctl status`, beside the answers that HTTP and MQTT clients got and the
messages that the remote received: with the remote well, stalled, and with
kill -9 of each process and of all at once.  The counts are printed.
"""

import json
import threading

import weir

RING = {"capacity": "64KiB", "max_capacity": "64KiB"}
BODY = "x" * 300


def suite(remote, **more):
    bridge = {
        "name": "cloud",
        "type": "mqtt",
        "url": "mqtt://127.0.0.1:%d" % remote.port,
        "forward": [{"filter": "bridge/#", "qos": 1}],
        "retry_min": "50ms",
        "retry_max": "200ms",
        "ring": RING,
    }
    bridge.update(more.pop("bridge", {}))
    return weir.Weir(
        http={"stall_timeout": "200ms", "receipt_timeout": "10s"},
        bridges=[bridge],
        **more
    )


class Counts:
    """What clients were told, of any number of threads."""

    def __init__(self):
        self.lock = threading.Lock()
        self.ok = self.refused = self.unknown = 0

    def add(self, what):
        with self.lock:
            setattr(self, what, getattr(self, what) + 1)

    def all(self):
        return self.ok + self.refused + self.unknown

    def __str__(self):
        return "ok %d refused %d unknown %d" % (self.ok, self.refused, self.unknown)


class HttpClient(threading.Thread):
    """Publishes `total` messages one by one, over new connections if need be."""

    def __init__(self, run, name, total, counts):
        super().__init__(daemon=True)
        self.suite, self.prefix, self.total, self.counts = run, name, total, counts
        self.connection = None
        self.start()

    def run(self):
        for number in range(self.total):
            self.counts.add(self.one("%s-%d:%s" % (self.prefix, number, BODY)))

    def connect(self):
        def up():
            try:
                return weir.Http(self.suite.http_port)
            except OSError:
                return None

        if self.connection is None:
            self.connection = weir.wait_for("httpd listens", up)
        return self.connection

    def one(self, payload):
        body = json.dumps({"topic": "bridge/h", "payload": payload, "qos": 1})
        connection = self.connect()
        try:
            status = connection.request("POST", "/api/v4/mqtt/publish", body)[0]
        except (OSError, EOFError):
            connection.close()
            self.connection = None
            return "unknown"
        return {200: "ok", 504: "unknown"}.get(status, "refused")


class MqttClient(threading.Thread):
    """Publishes at QoS 1 one by one; a connection that breaks is unknown."""

    def __init__(self, run, name, total, counts):
        super().__init__(daemon=True)
        self.suite, self.prefix, self.total, self.counts = run, name, total, counts
        self.client = None
        self.start()

    def run(self):
        for number in range(self.total):
            self.counts.add(self.one("%s-%d:%s" % (self.prefix, number, BODY)))

    def connect(self):
        def up():
            try:
                return self.suite.mqtt(self.prefix, version=5, keepalive=0, timeout=30)
            except (OSError, EOFError, AssertionError):
                return None

        if self.client is None:
            self.client = weir.wait_for("the broker listens", up)
        return self.client

    def one(self, payload):
        client = self.connect()
        try:
            client.send(
                weir.publish_packet("bridge/m", payload, 1, client.new_id(), version=5)
            )
            answer = client.expect(weir.PUBACK, 60)
        except (OSError, EOFError):
            client.cut()
            self.client = None
            return "unknown"
        return "refused" if len(answer) > 2 and answer[2] >= 0x80 else "ok"


def books(run):
    status = json.loads(run.ctl("status", "--json"))
    return next(b for b in status["bridges"] if b["name"] == "cloud")


def at_rest(run):
    """The books once nothing is under way and nothing waits."""

    def quiet():
        b = books(run)
        return b if b["queued"] == 0 and b["used"] == 0 else None

    return weir.wait_for("nothing waits for the bridge", quiet, 60)


def come_out(b):
    p = b["producers"]
    weir.expect(p["off_by"] == 0, "offered: %r" % b)
    weir.expect(p["under_way"] == 0, "under way: %r" % b)
    weir.expect(
        p["offered"] == p["accepted"] + p["refused"] + p["unknown"], "%r" % b
    )
    weir.expect(
        b["accepted"] == b["delivered"] + b["queued"] + b["dropped"] + b["dead"],
        "%r" % b,
    )
    weir.expect(b["off_by"] == 0, "%r" % b)


def print_books(tap, b, counts, got):
    p = b["producers"]
    tap.note(
        "offered %d = accepted %d + refused %d + unknown %d; clients: %s"
        % (p["offered"], p["accepted"], p["refused"], p["unknown"], counts)
    )
    tap.note(
        "accepted %d = delivered %d + queued %d + dropped %d + dead %d; remote: %d"
        % (b["accepted"], b["delivered"], b["queued"], b["dropped"], b["dead"], got)
    )


def publish(run, counts, http=3, mqtt=2, total=150):
    return [HttpClient(run, "h%d" % i, total, counts) for i in range(http)] + [
        MqttClient(run, "m%d" % i, total, counts) for i in range(mqtt)
    ]


def wait_all(clients):
    for client in clients:
        client.join(120)
        weir.expect(not client.is_alive(), client.prefix + " hangs")


def healthy(tap, durability):
    with weir.Mosquitto() as remote, suite(remote, durability=durability) as run:
        there = weir.Collector(remote.port, "bridge/#", qos=1)
        counts = Counts()
        name = "remote well, durability %s: " % durability
        with tap.case(name + "while it goes on the second sum is exact"):
            clients = publish(run, counts)
            for _ in range(5):
                b = books(run)
                weir.expect(b["off_by"] == 0, "%r" % b)
                weir.expect(b["producers"]["off_by"] == 0, "%r" % b)
            wait_all(clients)
        with tap.case(name + "both sums are what clients and remote saw"):
            b = at_rest(run)
            there.wait_count(counts.ok)
            print_books(tap, b, counts, len(there.messages))
            come_out(b)
            p = b["producers"]
            weir.expect(counts.unknown == 0 and counts.refused == 0, str(counts))
            weir.expect(p["offered"] == p["accepted"] == counts.ok, "%r" % b)
            weir.expect(b["accepted"] == b["delivered"] == counts.ok, "%r" % b)
            weir.expect(len(there.messages) == counts.ok, len(there.messages))
        with tap.case(name + "weirctl status says so in words"):
            text = run.ctl("status")
            weir.expect(
                "offered %d = accepted %d + refused 0 + unknown 0: reconciles"
                % (counts.ok, counts.ok)
                in text,
                text,
            )
            weir.expect(
                "accepted %d = delivered %d + queued 0 + dropped 0 + dead 0: reconciles"
                % (counts.ok, counts.ok)
                in text,
                text,
            )
        there.stop()


def stalled(tap):
    """HTTP is refused, an MQTT client is held, and one leaves while held."""
    with weir.Mosquitto() as remote, suite(remote, worker_window="8KiB") as run:
        there = weir.Collector(remote.port, "bridge/#", qos=1)
        counts = Counts()
        remote.stop()
        try:
            with tap.case("stalled remote: refusals are counted one for one"):
                clients = publish(run, counts, http=3, mqtt=0, total=120)
                wait_all(clients)
                weir.expect(counts.refused > 0 and counts.ok > 0, str(counts))
                weir.wait_for(
                    "nothing is under way",
                    lambda: books(run)["producers"]["under_way"] == 0,
                )
                b = books(run)
                print_books(tap, b, counts, 0)
                come_out(b)
                weir.expect(b["producers"]["refused"] == counts.refused, "%r" % b)
                weir.expect(b["producers"]["accepted"] == counts.ok, "%r" % b)
                weir.expect(b["queued"] == counts.ok - b["delivered"], "%r" % b)
            with tap.case("stalled remote: a held message is under way"):
                held = run.mqtt("held", version=5, keepalive=0)
                for _ in range(40):
                    held.send(
                        weir.publish_packet(
                            "bridge/m", BODY, 1, held.new_id(), version=5
                        )
                    )
                weir.wait_for(
                    "one is held",
                    lambda: books(run)["producers"]["under_way"] == 1,
                )
            with tap.case("stalled remote: who leaves while held is refused"):
                before = books(run)["producers"]["refused"]
                held.cut()
                weir.wait_for(
                    "it is counted",
                    lambda: books(run)["producers"]["under_way"] == 0,
                )
                p = books(run)["producers"]
                weir.expect(p["refused"] == before + 1, "%r" % p)
                come_out(books(run))
        finally:
            remote.go_on()
        with tap.case("stalled remote: when it is back all is delivered"):
            b = at_rest(run)
            there.wait_count(b["accepted"])
            print_books(tap, b, counts, len(there.messages))
            come_out(b)
            weir.expect(b["delivered"] == b["accepted"], "%r" % b)
            weir.expect(len(there.messages) == b["delivered"], "%r" % b)
        with tap.case("stalled remote: the log sums the episode up in one line"):
            weir.wait_for("it does", lambda: run.lines("bridge_resumed"))
            weir.expect(len(run.lines("bridge_stalled")) == 1, "begins")
            line = run.lines("bridge_resumed")[0]
            words = dict(w.split("=", 1) for w in line.split() if "=" in w)
            weir.expect(int(words["stalled"]) >= 1, line)
            weir.expect(words["dropped"] == "0", line)
        there.stop()


def check_killed(tap, run, counts, there):
    """After a kill: bounds by what clients know, and both sums."""
    b = at_rest(run)
    p = b["producers"]

    def first():
        return set(m.split(":")[0] for m in there.payloads())

    # The remote has them; who listens there may still be reading.
    weir.wait_for("they arrive", lambda: len(first()) >= b["accepted"])
    print_books(tap, b, counts, len(there.messages))
    come_out(b)
    weir.expect(p["offered"] <= counts.all(), "offered more than came")
    weir.expect(p["accepted"] >= counts.ok, "less than clients were told")
    weir.expect(
        p["accepted"] <= counts.ok + counts.unknown, "more than clients know of"
    )
    weir.expect(b["accepted"] >= p["accepted"], "given less than accepted")
    weir.expect(
        b["accepted"] <= p["accepted"] + p["unknown"], "given more than offered"
    )
    weir.expect(len(first()) == b["accepted"], "%d arrived" % len(first()))


def kill(run, name, tap):
    if name == "weir-bridged":
        pid = run.pid(name, "cloud")
    else:
        pid = run.pid(name)
    weir.kill(pid, weir.signal.SIGKILL)
    weir.wait_for(name + " is restarted", lambda: run.pids(name) not in ([], [pid]))


def killed(tap, name):
    backlog = {"backlog": "16MiB"}
    with weir.Mosquitto() as remote, suite(remote, bridge=backlog) as run:
        there = weir.Collector(remote.port, "bridge/#", qos=1)
        counts = Counts()
        clients = publish(run, counts, total=200)
        with tap.case("kill -9 of %s: clients go on" % name):
            for part in (150, 450):
                weir.wait_for("some came", lambda: counts.all() >= part, 60)
                kill(run, name, tap)
            wait_all(clients)
        with tap.case("kill -9 of %s: both sums come out" % name):
            run.wait_ready()
            check_killed(tap, run, counts, there)
        there.stop()


def all_killed(tap):
    """With all rings gone: the journal has the books."""
    backlog = {"backlog": "16MiB"}
    with weir.Mosquitto() as remote, suite(remote, bridge=backlog) as run:
        there = weir.Collector(remote.port, "bridge/#", qos=1)
        counts = Counts()
        with tap.case("kill -9 of all: what was delivered before is known"):
            wait_all(publish(run, counts, total=60))
            before = at_rest(run)
            come_out(before)
            remote.stop()
            try:
                wait_all(publish(run, counts, mqtt=1, http=1, total=60))
                # The journal has them once a second.
                weir.time.sleep(1.5)
                run.kill_all()
            finally:
                remote.go_on()
            run.start()
            run.wait_ready()
            b = at_rest(run)
            print_books(tap, b, counts, len(there.messages))
            come_out(b)
            weir.expect(b["accepted"] == counts.ok, "%r" % b)
            weir.expect(b["producers"]["accepted"] == counts.ok, "%r" % b)
        with tap.case("stop and start: the books go on"):
            weir.expect(run.shut_down() == 0, "it did not end in order")
            run.start()
            run.wait_ready()
            again = books(run)
            for term in ("accepted", "delivered", "queued", "dropped", "dead"):
                weir.expect(again[term] == b[term], "%s: %r" % (term, again))
            weir.expect(again["producers"] == b["producers"], "%r" % again)
        there.stop()


def main():
    tap = weir.Tap()
    for what, arguments in (
        (healthy, ("disk",)),
        (healthy, ("none",)),
        (stalled, ()),
        (killed, ("weir-httpd",)),
        (killed, ("weir-bridged",)),
        (killed, ("weir-broker",)),
        (all_killed, ()),
    ):
        tap.attempt(what, *arguments)
    tap.done()


if __name__ == "__main__":
    main()
