#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""Sessions from outside: whose they are, their limits, their wills.

One worker, so that limits and turns are exact.
"""

import contextlib
import os
import signal
import struct

import weir

ACCOUNTS = [
    {"name": "anna", "password": "a"},
    {"name": "bert", "password": "b"},
]
KEEP = b"\x11" + struct.pack(">I", 600)  # Session Expiry Interval
SHUTTING_DOWN = 0x8B


def suite(**keys):
    return weir.Weir(workers=1, **{"http": None, **keys})


def lines(run, event):
    """The log's lines of an event."""
    with open(run.log, errors="replace") as f:
        return [line for line in f if "event=" + event + " " in line]


def is_refused(run, client_id, code, **more):
    client = run.mqtt(client_id, **more)
    weir.expect(client.return_code == code, "code %#x" % client.return_code)
    weir.expect(client.is_closed(), "the connection stays open")


def credentials(tap):
    with suite(accounts=ACCOUNTS) as run:
        with tap.case("anonymous is let in where it is allowed"):
            client = run.mqtt("nobody")
            weir.expect(client.return_code == 0, client.return_code)
            client.close()
        with tap.case("a wrong password is refused though anonymous is allowed"):
            is_refused(run, "w4", 4, username="anna", password="b")
            is_refused(run, "w5", 0x86, version=5, username="anna", password="b")
        with tap.case("an unknown user is refused though anonymous is allowed"):
            is_refused(run, "u4", 4, username="carl", password="c")
            is_refused(run, "u5", 0x86, version=5, username="carl", password="c")
        with tap.case("a name without its password is refused"):
            is_refused(run, "n4", 4, username="anna")
    with suite(accounts=None) as run:
        with tap.case("without any account, a name is as good as none"):
            client = run.mqtt("named", username="anna", password="a")
            weir.expect(client.return_code == 0, client.return_code)
            client.close()


def owners(tap):
    anna = {"username": "anna", "password": "a"}
    bert = {"username": "bert", "password": "b"}
    with suite(accounts=ACCOUNTS) as run:
        owner = run.mqtt("shared", clean=False, **anna)
        owner.subscribe("secret/#", 1)
        with tap.case("another account does not take a session over"):
            is_refused(run, "shared", 2, **bert)
            is_refused(run, "shared", 0x85, version=5, **bert)
            is_refused(run, "shared", 2)
            owner.ping()
        owner.close()
        run.mqtt("other", **anna).publish("secret/a", "for anna", 1)
        with tap.case("another account neither resumes nor ends a session"):
            is_refused(run, "shared", 2, clean=False, **bert)
            is_refused(run, "shared", 0x85, version=5, **bert)
        with tap.case("its own account resumes it, and gets what waited"):
            owner = run.mqtt("shared", clean=False, **anna)
            weir.expect(owner.session_present, "a new session")
            weir.expect(owner.receive().payload == b"for anna", "another")
        with tap.case("its own account takes it over"):
            newer = run.mqtt("shared", **anna)
            weir.expect(owner.is_closed(), "the old connection stays open")
            newer.close()
        with tap.case("an identifier whose session has ended is anybody's"):
            client = run.mqtt("shared", **bert)
            weir.expect(client.return_code == 0, client.return_code)
            client.close()


def limits(tap):
    with suite(max_sessions=3) as run:
        for number in range(3):
            run.mqtt("kept-%d" % number, clean=False).close()
        with tap.case("a session to be kept above max_sessions is refused"):
            is_refused(run, "kept-3", 3, clean=False)
            is_refused(run, "kept-4", 0x97, version=5, properties=KEEP)
        with tap.case("a kept session is resumed at the limit"):
            client = run.mqtt("kept-0", clean=False)
            weir.expect(client.session_present, "a new session")
            client.close()
        with tap.case("a session that ends with its connection is let in"):
            for version in (4, 5):
                client = run.mqtt("passing", version=version)
                weir.expect(client.return_code == 0, client.return_code)
                client.close()
        with tap.case("a session that is given up makes room for another"):
            run.mqtt("kept-1", clean=True).close()
            client = run.mqtt("kept-5", clean=False)
            weir.expect(client.return_code == 0, client.return_code)
            client.close()
            is_refused(run, "kept-6", 3, clean=False)


def unfinished(tap):
    with suite() as run:
        client = run.mqtt("many")
        neighbour = run.mqtt("neighbour")

        def send(first, count):
            client.send(
                b"".join(
                    weir.publish_packet("a", "x", 2, first + i) for i in range(count)
                )
            )

        with tap.case("MQTT 3.1.1: 4096 unfinished QoS 2 messages are let be"):
            send(1, 4096)
            for _ in range(4096):
                client.expect(weir.PUBREC)
            send(1, 1)
            client.expect(weir.PUBREC)
        with tap.case("MQTT 3.1.1: one more closes the connection"):
            send(4097, 1)
            weir.expect(client.is_closed(), "it stays open")
            neighbour.ping()


def drops(tap):
    with suite(http={}, max_queued_messages=10) as run:
        client = run.mqtt("absent", clean=False)
        client.subscribe("q/#", 1)
        client.close()
        sender = run.mqtt("sender")
        for number in range(60):
            sender.publish("q/a", str(number), 1)
        with tap.case("the first message dropped from a queue is a warning"):
            weir.wait_for("it is logged", lambda: lines(run, "session_dropping"))
            started = lines(run, "session_dropping")
            weir.expect(len(started) == 1, "%d lines" % len(started))
            weir.expect('client="absent"' in started[0], started[0])
            weir.expect(not lines(run, "session_dropped"), "summed up too early")
        with tap.case("when the queue is empty again the drops are summed up"):
            client = run.mqtt("absent", clean=False)
            got = [client.receive().payload for _ in range(10)]
            weir.expect(got == [b"%d" % i for i in range(10)], got)
            weir.wait_for("it is logged", lambda: lines(run, "session_dropped"))
            ended = lines(run, "session_dropped")[0]
            weir.expect(
                'client="absent"' in ended and "dropped=50 " in ended, ended
            )
        with tap.case("the counter says the same"):
            weir.expect(run.metric("dropped_queue_full_total") == 50, "not 50")
        with tap.case("episodes that follow each other are one warning"):
            for _ in range(5):
                client.close()
                for number in range(20):
                    sender.publish("q/a", str(number), 1)
                client = run.mqtt("absent", clean=False)
                for _ in range(10):
                    client.receive()
            weir.expect(len(lines(run, "session_dropping")) == 1, "more lines")
        with tap.case("what was not told yet is told at the session's end"):
            client.close()
            run.mqtt("absent", clean=True).close()
            weir.wait_for(
                "it is logged", lambda: len(lines(run, "session_dropped")) == 2
            )
            weir.expect(
                "dropped=50 " in lines(run, "session_dropped")[1],
                lines(run, "session_dropped")[1],
            )


def wills(tap):
    with contextlib.ExitStack() as stack:
        remote = stack.enter_context(weir.Mosquitto())
        run = stack.enter_context(
            suite(
                # All sessions end with the broker, and so do delays.
                durability="none",
                bridges=[
                    {
                        "name": "cloud",
                        "type": "mqtt",
                        "url": "mqtt://127.0.0.1:%d" % remote.port,
                        "forward": [{"filter": "will/#", "qos": 1}],
                    }
                ]
            )
        )
        there = weir.Collector(remote.port, "will/#", qos=1)
        here = run.mqtt("watcher")
        here.subscribe("will/#", 1)
        leaver = run.mqtt("leaver", will=("will/left", "no", 1, False))
        leaver.close()
        stayer = run.mqtt("stayer", will=("will/now", "stayer", 1, False))
        late = run.mqtt("late", version=5, connect=False)
        # A will that is to wait 600 s [MQTT-3.1.3-9], for its session's end.
        delay = b"\x18" + struct.pack(">I", 600)
        body = weir.mqtt_string("MQTT") + bytes([5, 2 | 4 | 1 << 3])
        body += struct.pack(">H", 60) + bytes([len(KEEP)]) + KEEP
        body += weir.mqtt_string("late") + bytes([len(delay)]) + delay
        body += weir.mqtt_string("will/late") + weir.mqtt_string("late")
        late.send(weir.packet(weir.CONNECT, 0, body))
        late.expect(weir.CONNACK)
        # The broker alone: its bridge is there to the end.
        weir.kill(run.pid("weir-broker"), signal.SIGTERM)
        with tap.case("MQTT 5.0: the reason is told at a shutdown"):
            body = late.expect(weir.DISCONNECT)
            weir.expect(body[0] == SHUTTING_DOWN, "%#x" % body[0])
        with tap.case("wills are published when the broker shuts down"):
            got = set()
            while len(got) < 2:
                kind, flags, body = here.read()
                weir.expect(kind == weir.PUBLISH, "packet type %d" % kind)
                got.add(weir.Message(flags, body, here.version).topic)
            weir.expect(got == {"will/now", "will/late"}, got)
            weir.expect(here.is_closed(), "it stays open")
        with tap.case("and they reach the remote of a bridge, once each"):
            there.wait_count(2)
            got = sorted(m.topic for m in there.messages)
            weir.expect(got == ["will/late", "will/now"], got)
        weir.expect(stayer.is_closed(), "it stays open")
        there.stop()


def threads(tap):
    with suite(accounts=ACCOUNTS) as run:
        run.mqtt("anybody", username="anna", password="a").close()
        with tap.case("signals are the main thread's: all others block them"):
            pid = run.pid("weir-broker")
            wanted = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
            names = []
            for task in os.listdir("/proc/%d/task" % pid):
                if int(task) == pid:
                    continue
                with open("/proc/%d/task/%s/status" % (pid, task)) as f:
                    fields = dict(line.split(":", 1) for line in f)
                blocked = int(fields["SigBlk"], 16)
                name = fields["Name"].strip()
                names.append(name)
                for number in wanted:
                    weir.expect(
                        blocked >> (number - 1) & 1,
                        "%s takes signal %d" % (name, number),
                    )
            weir.expect("worker 0" in names, names)


def main():
    tap = weir.Tap()
    for name, group in (
        ("credentials", credentials),
        ("owners", owners),
        ("limits", limits),
        ("unfinished", unfinished),
        ("drops", drops),
        ("wills", wills),
        ("threads", threads),
    ):
        with tap.case(name + ": the suite starts, and ends in order"):
            group(tap)
    tap.done()


if __name__ == "__main__":
    main()
