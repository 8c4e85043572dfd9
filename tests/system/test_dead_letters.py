#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""What a remote refuses for good is kept, and the flow goes on.

The remote is a script that answers 0x87 (not authorized) to topics below
bridge/bad, until it is told to take them.  Dead letters are listed, shown, sent
again and dropped, by weirctl and by HTTP; they survive kill -9 of the bridge,
the broker and all at once; and the books come out.
"""

import json
import socket
import struct
import threading

import weir

RING = {"capacity": "64KiB", "max_capacity": "256KiB"}


class Far(threading.Thread):
    """An MQTT 5.0 remote that refuses some topics."""

    def __init__(self):
        super().__init__(daemon=True)
        self.got = []  # (topic, payload) that it took
        self.refused = 0
        self.refuses = True
        self.answers = True
        self.ends = False
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(8)
        self.listener.settimeout(0.1)
        self.port = self.listener.getsockname()[1]
        self.start()

    def run(self):
        while not self.ends:
            try:
                sock, _ = self.listener.accept()
            except socket.timeout:
                continue
            with sock:
                self.serve(sock)
        self.listener.close()

    def serve(self, sock):
        link = weir.Mqtt.__new__(weir.Mqtt)
        link.version, link.sock, link.buffer = 5, sock, bytearray()
        try:
            weir.expect(link.read(10)[0] == weir.CONNECT, "no CONNECT")
            link.send(weir.packet(weir.CONNACK, 0, b"\0\0\0"))
            while not self.ends:
                try:
                    kind, flags, body = link.read(0.2)
                except AssertionError:
                    continue
                if kind == weir.PINGREQ:
                    link.send(weir.packet(weir.PINGRESP))
                elif kind == weir.PUBLISH:
                    self.take(link, weir.Message(flags, body, 5))
                elif kind == weir.DISCONNECT:
                    return
        except (EOFError, OSError):
            return

    def take(self, link, message):
        reason = 0
        if self.refuses and message.topic.startswith("bridge/bad"):
            reason = 0x87
            self.refused += 1
        else:
            self.got.append((message.topic, message.payload.decode()))
        if message.qos and self.answers:
            link.send(
                weir.packet(
                    weir.PUBACK, 0, struct.pack(">HBB", message.id, reason, 0)
                )
            )

    def payloads(self, topic):
        return [payload for at, payload in self.got if at == topic]

    def end(self):
        self.ends = True
        self.join(5)


def suite(far, **more):
    bridge = {
        "name": "cloud",
        "type": "mqtt",
        "url": "mqtt://127.0.0.1:%d" % far.port,
        "forward": [{"filter": "bridge/#", "qos": 1}],
        "retry_min": "50ms",
        "retry_max": "200ms",
        "ring": RING,
        "backlog": "16MiB" if more.get("durability") != "none" else "0",
    }
    bridge.update(more.pop("bridge", {}))
    return weir.Weir(bridges=[bridge], **more)


def books(run):
    status = json.loads(run.ctl("status", "--json"))
    return next(b for b in status["bridges"] if b["name"] == "cloud")


def dead(run, *words):
    return json.loads(run.ctl("dead", *words, "--json"))


def letters(run):
    return dead(run, "list", "cloud")["dead"]


def wait_dead(run, count):
    weir.wait_for(
        "%d dead letters" % count, lambda: books(run)["dead_letters"] == count
    )


def come_out(run):
    def at_rest():
        b = books(run)
        return b if b["queued"] == 0 and b["producers"]["under_way"] == 0 else None

    b = weir.wait_for("nothing waits", at_rest)
    weir.expect(b["off_by"] == 0 and b["producers"]["off_by"] == 0, "%r" % b)
    weir.expect(
        b["accepted"] == b["delivered"] + b["dropped"] + b["dead"], "%r" % b
    )
    return b


def publish(run, topic, payload):
    weir.expect(run.publish(topic, payload) == 200, "not taken: " + payload)


def flow(tap, durability):
    name = "durability %s: " % durability
    far = Far()
    try:
        with suite(far, durability=durability) as run:
            with tap.case(name + "the flow goes on, in order"):
                for i in range(30):
                    publish(run, "bridge/bad/a" if i % 3 == 0 else "bridge/good", str(i))
                weir.wait_for("20 arrive", lambda: len(far.got) == 20)
                want = [str(i) for i in range(30) if i % 3 != 0]
                weir.expect(far.payloads("bridge/good") == want, far.got)
            with tap.case(name + "what was refused is kept, with the reason"):
                wait_dead(run, 10)
                got = letters(run)
                weir.expect([d["id"] for d in got] == list(range(1, 11)), got)
                weir.expect(all(d["topic"] == "bridge/bad/a" for d in got), got)
                weir.expect("uthorized" in got[0]["reason"], got[0])
                weir.expect(got[0]["attempts"] == 1, got[0])
                one = dead(run, "show", "cloud", "4")
                weir.expect(one["payload"] == "9" and one["qos"] == 1, one)
                b = come_out(run)
                weir.expect(b["delivered"] == 20 and b["dead"] == 10, "%r" % b)
            with tap.case(name + "by HTTP too"):
                status, _, body = run.http("GET", "/api/v4/bridges/cloud/dead")
                weir.expect(status == 200 and body.count('"id"') == 10, body)
                status, _, body = run.http("DELETE", "/api/v4/bridges/cloud/dead/10")
                weir.expect(status == 200, body)
                wait_dead(run, 9)
            with tap.case(name + "sent again while it is refused it is dead again"):
                weir.expect(dead(run, "retry", "cloud", "1")["retried"] == 1, "not")
                wait_dead(run, 9)
                weir.wait_for("it is back", lambda: letters(run)[-1]["id"] == 11)
                weir.expect(dead(run, "show", "cloud", "11")["payload"] == "0", "other")
            with tap.case(name + "sent again when it is taken all arrive"):
                far.refuses = False
                answer = dead(run, "retry", "cloud", "--all")
                weir.expect(answer["retried"] == 9 and answer["left"] == 0, answer)
                weir.wait_for(
                    "they arrive", lambda: len(far.payloads("bridge/bad/a")) == 9
                )
                weir.expect(
                    far.payloads("bridge/bad/a")
                    == [str(3 * i) for i in range(1, 9)] + ["0"],
                    far.payloads("bridge/bad/a"),
                )
                b = come_out(run)
                weir.expect(b["dead_letters"] == 0, "%r" % b)
                weir.expect(b["dead"] == 11 and b["delivered"] == 29, "%r" % b)
                weir.expect(b["dead_retried"] == 10, "%r" % b)
                tap.note(
                    "accepted %(accepted)d delivered %(delivered)d dead %(dead)d" % b
                )
            with tap.case(name + "mistakes are told"):
                for words in (
                    ("show", "cloud", "77"),
                    ("show", "cloud", "x"),
                    ("retry", "nobody", "1"),
                ):
                    weir.expect(run.ctl("dead", *words, check=False) == "", words)
    finally:
        far.end()


def bounded(tap):
    far = Far()
    limits = {"dead_letters": 5, "dead_letters_size": "64KiB"}
    try:
        with suite(far, bridge=limits) as run:
            with tap.case("limits: the oldest go, are counted, and told once"):
                for i in range(12):
                    publish(run, "bridge/bad", str(i))
                weir.wait_for("all are dead", lambda: books(run)["dead"] == 12)
                weir.wait_for(
                    "7 are gone", lambda: books(run)["dead_dropped"] == 7
                )
                got = [dead(run, "show", "cloud", str(d["id"]))["payload"] for d in letters(run)]
                weir.expect(got == ["7", "8", "9", "10", "11"], got)
                weir.expect(len(run.lines("dead_letters_full")) == 1, "lines")
            with tap.case("limits: bytes too"):
                publish(run, "bridge/bad", "x" * 50000)
                publish(run, "bridge/bad", "y" * 50000)
                weir.wait_for("all are dead", lambda: books(run)["dead"] == 14)
                weir.wait_for("one is left", lambda: len(letters(run)) == 1)
                weir.expect(books(run)["dead_bytes"] <= 65536, books(run))
    finally:
        far.end()


def kill(run, name):
    pid = run.pid(name, "cloud" if name == "weir-bridged" else None)
    weir.kill(pid, weir.signal.SIGKILL)
    weir.wait_for(name + " is restarted", lambda: run.pids(name) not in ([], [pid]))


def killed(tap):
    far = Far()
    try:
        with suite(far) as run:
            with tap.case("kill -9: of the bridge, amid refusals: each is kept once"):
                for i in range(200):
                    publish(run, "bridge/bad" if i % 2 else "bridge/good", str(i))
                    if i in (60, 140):
                        kill(run, "weir-bridged")
                wait_dead(run, 100)
                got = {
                    dead(run, "show", "cloud", str(d["id"]))["payload"]
                    for d in letters(run)[:100:7]
                }
                weir.expect(len(got) == 15, got)
                come_out(run)
            with tap.case("kill -9: of the broker: they are there"):
                before = letters(run)
                kill(run, "weir-broker")
                run.wait_ready()
                weir.expect(letters(run) == before, "others")
            with tap.case("kill -9: of all at once: they are there, and go again"):
                run.kill_all()
                run.start()
                run.wait_ready()
                weir.expect(letters(run) == before, "others")
                far.refuses = False
                dead(run, "drop", "cloud", "1")
                weir.expect(dead(run, "retry", "cloud", "--all")["left"] == 0, "left")
                weir.wait_for("they arrive", lambda: len(set(far.payloads("bridge/bad"))) == 99)
                come_out(run)
            with tap.case("stop and start: what went does not come back"):
                weir.expect(run.shut_down() == 0, "it did not end in order")
                run.start()
                run.wait_ready()
                weir.expect(letters(run) == [], letters(run))
    finally:
        far.end()


def main():
    tap = weir.Tap()
    for what, arguments in (
        (flow, ("disk",)),
        (flow, ("none",)),
        (bounded, ()),
        (killed, ()),
    ):
        tap.attempt(what, *arguments)
    tap.done()


if __name__ == "__main__":
    main()
