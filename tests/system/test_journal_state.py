#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""Sessions, subscriptions, retained messages and wills survive kill -9.

The broker alone is killed (its supervisor starts it again), or all processes
at once, which leaves nothing but the disk.
"""

import os
import signal
import struct
import threading
import time

import weir

ACCOUNTS = [
    {"name": "anna", "password": "a"},
    {"name": "bert", "password": "b"},
]


def expiry(seconds):
    """The property Session Expiry Interval."""
    return b"\x11" + struct.pack(">I", seconds)


def answers(client, want):
    """Read up to the answer of that type: its body, and all messages before."""
    messages = []
    while True:
        kind, flags, body = client.read()
        if kind == want:
            return body, messages
        weir.expect(kind == weir.PUBLISH, "packet type %d" % kind)
        message = weir.Message(flags, body, client.version)
        if message.qos == 1:
            client.send(weir.packet(weir.PUBACK, 0, struct.pack(">H", message.id)))
        messages.append(message)


def waiting(client):
    """All that comes before the answers to two PINGREQs."""
    messages = []
    for _ in range(2):
        client.send(weir.packet(weir.PINGREQ))
        messages += answers(client, weir.PINGRESP)[1]
    return messages


def subscribe(client, *filters, qos=1):
    """One SUBSCRIBE; its codes and what came before the SUBACK."""
    body = struct.pack(">H", client.new_id()) + b"\0" * (client.version == 5)
    for name in filters:
        body += weir.mqtt_string(name) + bytes([qos])
    client.send(weir.packet(weir.SUBSCRIBE, 2, body))
    reply, messages = answers(client, weir.SUBACK)
    return reply[-len(filters) :], messages


def unsubscribe(client, name):
    body = struct.pack(">H", client.new_id()) + b"\0" * (client.version == 5)
    client.send(weir.packet(weir.UNSUBSCRIBE, 2, body + weir.mqtt_string(name)))
    return answers(client, weir.UNSUBACK)[0]


def leave(client):
    """DISCONNECT, and wait until the broker has closed."""
    client.send(weir.packet(weir.DISCONNECT))
    weir.expect(client.is_closed(), "DISCONNECT did not end it")


def suite(**keys):
    return weir.Weir(durability="disk", **{"http": None, **keys})


def kill_broker(run):
    """kill -9; back when its supervisor has started another."""
    pid = run.pid("weir-broker")
    weir.kill(pid, signal.SIGKILL)
    weir.wait_for(
        "another broker", lambda: [p for p in run.pids("weir-broker") if p != pid]
    )
    run.wait_ready()


def kill_all(run):
    """kill -9 of all there is, then another start."""
    weir.kill(run.child.pid, signal.SIGKILL)
    for pid in weir.marked(run.box.mark):
        weir.kill(pid, signal.SIGKILL)
    run.child.wait()
    weir.wait_for("nothing lives", lambda: not weir.marked(run.box.mark))
    run.start()
    run.wait_ready()


def restart(run):
    """SIGTERM, and another start."""
    weir.expect(run.shut_down() == 0, "it did not end well")
    run.start()
    run.wait_ready()


ENDS = [("kill -9", kill_broker), ("kill -9 of all", kill_all), ("a restart", restart)]


def is_present(run, client_id, **more):
    """Does the broker know the session?  It is left as it is."""
    client = run.mqtt(client_id, clean=False, **more)
    weir.expect(client.return_code == 0, "refused: %#x" % client.return_code)
    present = client.session_present
    leave(client)
    return present


def get_retained(run, topic):
    """The payload that a topic has, or None."""
    client = run.mqtt("asker-" + os.urandom(4).hex())
    messages = subscribe(client, topic)[1] + waiting(client)
    got = [m.payload for m in messages if m.retain]
    leave(client)
    weir.expect(len(got) < 2, "%d retained messages" % len(got))
    return got[0] if got else None


def sessions(tap, what, end):
    anna = {"username": "anna", "password": "a"}
    keep = {"version": 5, "properties": expiry(600)}
    with suite(accounts=ACCOUNTS) as run:
        kept = run.mqtt("kept", clean=False, **anna)
        subscribe(kept, "a/+", "c")
        subscribe(kept, "b/#", qos=2)
        unsubscribe(kept, "b/#")
        leave(run.mqtt("five", **keep))
        subscribe(run.mqtt("passing"), "p/#")
        gone = run.mqtt("gone", clean=False)
        subscribe(gone, "g/#")
        leave(gone)
        leave(run.mqtt("gone", clean=True))
        taken = run.mqtt("taken", clean=False)
        subscribe(taken, "t/#")
        newer = run.mqtt("taken", clean=False)
        weir.expect(taken.is_closed(), "the old connection stays open")
        subscribe(newer, "n/#")
        end(run)
        with tap.case(what + ": sessions are there, but none that has ended"):
            weir.expect(is_present(run, "kept", **anna), "kept is gone")
            weir.expect(is_present(run, "taken"), "taken is gone")
            weir.expect(is_present(run, "five", **keep), "five is gone")
            for client_id in ("passing", "gone"):
                weir.expect(not is_present(run, client_id), client_id + " is there")
        with tap.case(what + ": they are their accounts' still"):
            other = run.mqtt("kept", clean=False, username="bert", password="b")
            weir.expect(other.return_code == 2, "bert has anna's session")
        with tap.case(what + ": they have their subscriptions, and no other"):
            kept = run.mqtt("kept", clean=False, **anna)
            taken = run.mqtt("taken", clean=False)
            publisher = run.mqtt("publisher")
            for topic in ("a/1", "b/1", "c", "p/1", "g/1", "t/1", "n/1"):
                publisher.publish(topic, topic, 1)
            for client, topics in ((kept, ["a/1", "c"]), (taken, ["t/1", "n/1"])):
                got = [m.topic for m in waiting(client)]
                weir.expect(got == topics, "got %r" % got)


def retained(tap, what, end):
    with suite() as run:
        client = run.mqtt("setter", version=5)
        client.publish("r/set", "one", 1, retain=True)
        client.publish("r/replaced", "one", 1, retain=True)
        client.publish("r/replaced", "two", 2, retain=True)
        client.publish("r/cleared", "one", 1, retain=True)
        client.publish("r/cleared", "", 1, retain=True)
        client.publish("r/again", "one", 1, retain=True)
        client.publish("r/again", "", 1, retain=True)
        client.publish("r/again", "three", 1, retain=True)
        # Nobody waits for it; what is answered behind it is behind it.
        client.publish("r/qos0", "zero", 0, retain=True)
        client.publish("r/last", "x", 1, retain=True)
        end(run)
        with tap.case(what + ": topics have what was acknowledged last"):
            for topic, want in (
                ("r/set", b"one"),
                ("r/replaced", b"two"),
                ("r/cleared", None),
                ("r/again", b"three"),
                ("r/qos0", b"zero"),
            ):
                got = get_retained(run, topic)
                weir.expect(got == want, "%s has %r" % (topic, got))
        with tap.case(what + ": and can be replaced and cleared again"):
            client = run.mqtt("setter")
            client.publish("r/set", "later", 1, retain=True)
            client.publish("r/again", "", 1, retain=True)
            end(run)
            weir.expect(get_retained(run, "r/set") == b"later", "not replaced")
            weir.expect(get_retained(run, "r/again") is None, "not cleared")


def retained_last(tap):
    """Many at once, to a topic each and to one that all share."""
    with suite(workers=2) as run:
        last = {}

        def publish(number):
            client = run.mqtt("many-%d" % number)
            try:
                for count in range(100000):
                    client.publish("many/%d" % number, "%d" % count, 1, retain=True)
                    last[number] = count
            except (OSError, EOFError, AssertionError):
                pass

        threads = [threading.Thread(target=publish, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        weir.wait_for(
            "they are under way", lambda: len(last) == 8 and min(last.values()) > 50
        )
        kill_broker(run)
        for thread in threads:
            thread.join()
        with tap.case("killed while 8 publish: no topic is older than its PUBACK"):
            for number, count in sorted(last.items()):
                got = int(get_retained(run, "many/%d" % number))
                weir.expect(
                    got in (count, count + 1), "%d: %d, not %d" % (number, got, count)
                )


def behind(run):
    """An answer that is behind the records of all that one worker did.

    Nobody waits for a DISCONNECT to be known; what is answered later is.
    """
    leave(run.mqtt("behind", version=5, properties=expiry(600)))


def wills(tap, what, end):
    with suite(workers=1) as run:
        watcher = run.mqtt("watcher", clean=False)
        subscribe(watcher, "w/#")
        leave(watcher)
        there = [
            run.mqtt("transient", will=("w/transient", "1", 1, False)),
            run.mqtt("durable", clean=False, will=("w/durable", "2", 1, True)),
        ]
        leave(run.mqtt("content", will=("w/content", "no", 1, True)))
        behind(run)
        end(run)
        with tap.case(what + ": wills of who was there are published, once"):
            watcher = run.mqtt("watcher", clean=False)
            got = []
            while len(got) < 2:
                message = watcher.receive()
                got.append(message.topic)
            weir.expect(sorted(got) == ["w/durable", "w/transient"], "got %r" % got)
            weir.expect(get_retained(run, "w/durable") == b"2", "it is not retained")
            weir.expect(get_retained(run, "w/content") is None, "it had left")
            leave(watcher)
            behind(run)
            end(run)
            watcher = run.mqtt("watcher", clean=False)
            weir.expect(watcher.session_present, "the watcher is gone")
            weir.expect(waiting(watcher) == [], "they came again")
        for client in there:
            client.cut()


def delayed_will(tap):
    """[MQTT-3.1.3-9]: not before its delay, which the broker's death begins."""
    keep = {"version": 5, "properties": expiry(600)}
    with suite() as run:
        watcher = run.mqtt("watcher", clean=False)
        subscribe(watcher, "w/#")
        leave(watcher)
        for client_id in ("away", "back"):
            run.mqtt(
                client_id,
                will=("w/" + client_id, "w", 1, False),
                will_properties=b"\x18" + struct.pack(">I", 2),
                **keep
            )
        kill_all(run)
        killed = time.monotonic()
        back = run.mqtt("back", clean=False, **keep)
        with tap.case("a delayed will comes after its delay, unless one is back"):
            weir.expect(back.session_present, "its session is gone")
            watcher = run.mqtt("watcher", clean=False)
            got = watcher.receive().topic
            weir.expect(got == "w/away", got)
            weir.expect(time.monotonic() - killed > 1, "too early")
            weir.expect(waiting(watcher) == [], "more came")


def disconnect_with(client, seconds):
    client.send(weir.packet(weir.DISCONNECT, 0, b"\0\5" + expiry(seconds)))
    weir.expect(client.is_closed(), "DISCONNECT did not end it")


def expiries(tap):
    keep = {"version": 5, "properties": expiry(600)}
    with suite(workers=1) as run:
        leave(run.mqtt("short", version=5, properties=expiry(3)))
        leave(run.mqtt("long", **keep))
        disconnect_with(run.mqtt("lowered", **keep), 3)
        disconnect_with(run.mqtt("ended", **keep), 0)
        left = time.monotonic()
        behind(run)
        kill_all(run)
        with tap.case("an expiry of 0 at DISCONNECT ends a session for good"):
            line = run.lines("recovered")[-1]
            weir.expect(" sessions=4 " in line, line)
        with tap.case("expiry goes on over the broker's death"):
            weir.expect(is_present(run, "long", **keep), "long is gone")
            weir.wait_for(
                "it expires", lambda: time.monotonic() - left > 3.2, seconds=10
            )
            weir.expect(not is_present(run, "short", **keep), "short is there")
            weir.expect(not is_present(run, "lowered", **keep), "lowered is there")
            weir.expect(not is_present(run, "ended", **keep), "ended is there")


def main():
    tap = weir.Tap()
    for what, end in ENDS:
        sessions(tap, what, end)
        retained(tap, what, end)
        wills(tap, what, end)
    retained_last(tap)
    delayed_will(tap)
    expiries(tap)
    tap.done()


if __name__ == "__main__":
    main()
