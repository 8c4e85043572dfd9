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


def gather(client, count):
    """So many messages, acknowledged; what was sent before is left out."""
    messages, again = [], 0
    while len(messages) < count:
        try:
            message = client.receive()
        except AssertionError as error:
            raise AssertionError(
                "%s: %d of %d, and %d again; the last: %r"
                % (error, len(messages), count, again, messages[-1:])
            ) from error
        if message.dup:
            again += 1
        else:
            messages.append(message)
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
    run.kill_all()
    run.start()
    run.wait_ready()


def restart(run):
    """SIGTERM, and another start."""
    weir.expect(run.shut_down() == 0, "it did not end well")
    run.start()
    run.wait_ready()


def recovered(run, end):
    """End it so; what the next broker says it has found."""
    # It comes by way of the supervisor: perhaps after the broker answers.
    weir.wait_for("the one before has said it", lambda: run.lines("recovered"))
    count = len(run.lines("recovered"))
    end(run)
    weir.wait_for("it is said", lambda: len(run.lines("recovered")) > count)
    return run.lines("recovered")[-1]


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
                messages = gather(client, len(topics)) + waiting(client)
                got = [m.topic for m in messages]
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
        line = recovered(run, kill_all)
        with tap.case("an expiry of 0 at DISCONNECT ends a session for good"):
            weir.expect(" sessions=4 " in line, line)
        with tap.case("expiry goes on over the broker's death"):
            weir.expect(is_present(run, "long", **keep), "long is gone")
            weir.wait_for(
                "it expires", lambda: time.monotonic() - left > 3.2, seconds=10
            )
            weir.expect(not is_present(run, "short", **keep), "short is there")
            weir.expect(not is_present(run, "lowered", **keep), "lowered is there")
            weir.expect(not is_present(run, "ended", **keep), "ended is there")


def delayed_over_restart(tap):
    """At SIGTERM a delayed will of a session that is kept is kept too."""
    keep = {"version": 5, "properties": expiry(600)}
    with suite(workers=1) as run:
        watcher = run.mqtt("watcher", clean=False)
        subscribe(watcher, "w/#")
        leave(watcher)
        run.mqtt(
            "away",
            will=("w/away", "w", 1, False),
            will_properties=b"\x18" + struct.pack(">I", 3),
            **keep
        ).cut()
        began = time.monotonic()
        restart(run)
        with tap.case("a will that waits at SIGTERM comes after the restart"):
            watcher = run.mqtt("watcher", clean=False)
            got = watcher.receive().topic
            weir.expect(got == "w/away", got)
            weir.expect(time.monotonic() - began > 2.9, "too early")


def killed_again_and_again(tap):
    """Each start begins with a checkpoint, beside clients that come and go."""
    # How many subscriptions there will be depends on the disk: each has a
    # message in the end, and none of these may be one too many for a queue.
    with suite(workers=2, max_queued_messages=100000) as run:
        client = run.mqtt("setter", version=5)
        wide = run.mqtt("wide", clean=False)
        for first in range(0, 6000, 500):
            subscribe(wide, *["wide/%d" % i for i in range(first, first + 500)])
        for number in range(300):
            client.publish("kept/%d" % number, "%d" % number, 1, retain=True)
        confirmed = {}
        stopping = threading.Event()

        def work(number):
            """Subscribe to one more each time; note what was acknowledged."""
            name = "worker-%d" % number
            count = confirmed.setdefault(name, 0)
            while not stopping.is_set():
                try:
                    client = run.mqtt(name, clean=False, timeout=2)
                    if count:
                        weir.expect(client.session_present, name + " is gone")
                    for _ in range(20):
                        subscribe(client, "%s/%d" % (name, count))
                        count += 1
                        confirmed[name] = count
                    client.cut()
                except (OSError, EOFError):
                    pass
                except AssertionError as error:
                    if "is gone" in str(error):
                        lost.append(str(error))
                        return

        lost = []
        threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
        for thread in threads:
            thread.start()
        for _ in range(6):
            before = sum(confirmed.values())
            weir.wait_for(
                "they are under way", lambda: sum(confirmed.values()) > before + 200
            )
            kill_broker(run)
        stopping.set()
        for thread in threads:
            thread.join()
        kill_all(run)
        with tap.case("killed six times under load: no session is lost"):
            weir.expect(lost == [], lost)
        with tap.case("killed six times under load: no subscription is lost"):
            publisher = run.mqtt("publisher")
            for name, count in sorted(confirmed.items()):
                weir.expect(count > 0, name + " did nothing")
                client = run.mqtt(name, clean=False)
                weir.expect(client.session_present, name + " is gone")
                for number in range(count):
                    publisher.publish("%s/%d" % (name, number), "x", 1)
                got = {m.topic for m in gather(client, count)}
                want = {"%s/%d" % (name, number) for number in range(count)}
                weir.expect(got == want, "%s misses %r" % (name, want - got))
            wide = run.mqtt("wide", clean=False)
            for number in (0, 2500, 5999):
                publisher.publish("wide/%d" % number, "x", 1)
            got = [m.topic for m in gather(wide, 3)]
            weir.expect(got == ["wide/0", "wide/2500", "wide/5999"], got)
        with tap.case("killed six times under load: no retained message is lost"):
            client = run.mqtt("asker")
            messages = subscribe(client, "kept/+")[1]
            while len(messages) < 300:
                messages.append(client.receive())
            weir.expect(
                all(m.topic == "kept/" + m.payload.decode() for m in messages),
                "another payload",
            )


def many(tap):
    with suite() as run:
        wide = run.mqtt("wide", clean=False)
        for first in range(0, 100000, 1000):
            codes = subscribe(
                wide, *["m/%d/+" % i for i in range(first, first + 1000)]
            )[0]
            weir.expect(codes == b"\1" * 1000, "a subscription was refused")
        for end in (kill_all, restart, kill_all):
            line = recovered(run, end)
            tap.note(line[line.index("sessions=") :])
            with tap.case("100,000 subscriptions are there after " + end.__name__):
                weir.expect(" subscriptions=100000 " in line, line)
                publisher = run.mqtt("publisher")
                wide = run.mqtt("wide", clean=False)
                for number in (0, 50000, 99999):
                    publisher.publish("m/%d/x" % number, "x", 1)
                got = [m.topic for m in gather(wide, 3)]
                weir.expect(got == ["m/0/x", "m/50000/x", "m/99999/x"], got)
                leave(wide)


def bridge_comes_back(tap):
    """What waits for a bridge outlives a configuration without it."""
    port = weir.free_port()
    bridge = {
        "name": "cloud",
        "url": "mqtt://127.0.0.1:%d" % port,
        "forward": [{"filter": "cloud/#", "qos": 1}],
        "retry_max": "1s",
    }
    with suite(bridges=[bridge]) as run:
        publisher = run.mqtt("publisher")
        for number in range(50):
            publisher.publish("cloud/n", "%d" % number, 1)

        def configure(bridges):
            weir.expect(run.shut_down() == 0, "it did not end well")
            run.settings["bridges"] = bridges
            with open(run.config, "w") as f:
                f.write(weir.libconfig(run.settings))
            run.start()
            run.wait_ready()

        def told(times):
            weir.wait_for(
                "it is said", lambda: len(run.lines("bridge_absent")) == times
            )

        configure([])
        # The second start knows the bridge from a checkpoint alone.
        with tap.case("a bridge that is not configured is named, and kept"):
            told(1)
            kill_all(run)
            told(2)
            for line in run.lines("bridge_absent"):
                weir.expect('bridge="cloud" queued=50' in line, line)
        with weir.Mosquitto(port=port) as remote:
            there = weir.Collector(remote.port, "cloud/#", qos=1)
            configure([bridge])
            with tap.case("it gets all that waited when it is configured again"):
                there.wait_count(50)
                got = list(dict.fromkeys(there.payloads()))
                weir.expect(got == ["%d" % n for n in range(50)], got)
            there.stop()


def start_another(run, state_dir, **more):
    """A broker of its own, but for state_dir: its exit status and its log."""
    with weir.Box() as box:
        run_dir = os.path.join(box.dir, "run")
        os.mkdir(run_dir)
        settings = dict(
            run.settings,
            state_dir=state_dir,
            run_dir=run_dir,
            listeners=[{"bind": "127.0.0.1:%d" % weir.free_port()}],
        )
        config = os.path.join(box.dir, "weir.conf")
        with open(config, "w") as f:
            f.write(weir.libconfig(settings))
        for path in (box.dir, run_dir, config):
            if "user" in more:
                os.chown(path, more["user"], -1)
        log = os.path.join(box.dir, "log")
        with open(log, "wb") as f:
            child = box.spawn([weir.program("weir-broker"), "-c", config], f, **more)
        status = child.wait(timeout=20)
        with open(log, errors="replace") as f:
            return status, f.read()


def unusable(tap):
    with suite() as run:
        state_dir = run.settings["state_dir"]
        with tap.case("a second broker on the same state_dir says so and ends"):
            status, log = start_another(run, state_dir)
            weir.expect(status == 71, "exit %d" % status)
            weir.expect("another weir-broker has it" in log, log)
            run.mqtt("first").ping()
        with tap.case("a journal that is no folder is said, and the broker ends"):
            other = os.path.join(run.box.dir, "other")
            os.mkdir(other)
            open(os.path.join(other, "journal"), "w").close()
            status, log = start_another(run, other)
            weir.expect(status == 71, "exit %d" % status)
            weir.expect("state_dir must be a folder" in log, log)
        with tap.case("a journal that is another's is said, and the broker ends"):
            if os.getuid() != 0:
                raise weir.Skip("only root may become somebody else")
            os.chmod(run.box.dir, 0o755)
            other = os.path.join(run.box.dir, "others")
            os.mkdir(other)
            os.chown(other, 65534, -1)
            os.mkdir(os.path.join(other, "journal"), 0o700)
            try:
                status, log = start_another(run, other, user=65534)
            except PermissionError as error:
                raise weir.Skip("nobody may not run it here: %s" % error)
            weir.expect(status == 71, "exit %d" % status)
            weir.expect("must be able to write there" in log, log)


def full(tap):
    """The journal's own limit: what needs it is refused, the rest goes on."""
    keep = {"version": 5, "properties": expiry(600)}
    with suite(
        workers=1,
        max_packet_size="16KiB",
        max_queued_bytes="64MiB",
        journal={"max_size": "1MiB", "segment_size": "128KiB"},
    ) as run:
        reader = run.mqtt("reader", clean=False)
        subscribe(reader, "q/#")
        leave(reader)
        there = run.mqtt("there", **keep)
        subscribe(there, "before")
        old = run.mqtt("old", clean=False)
        subscribe(old, "before")
        publisher = run.mqtt("publisher", version=5)
        taken = 0
        while True:
            publisher.send(
                weir.publish_packet("q/1", b"x" * 8000, 1, taken + 1, version=5)
            )
            answer = publisher.expect(weir.PUBACK)
            if len(answer) > 2 and answer[2] == 0x97:
                break
            taken += 1
            weir.expect(taken < 1000, "it is never full")
        tap.note("full after %d messages of 8,000 bytes" % taken)
        with tap.case("full: SUBSCRIBE of a kept session is refused"):
            weir.expect(subscribe(there, "x", "y")[0] == b"\x97\x97", "another code")
            weir.expect(subscribe(old, "x")[0] == b"\x80", "another code")
            run.mqtt("other").publish("x", "x", 0)
            weir.expect(waiting(there) == [], "it is subscribed")
        with tap.case("full: CONNECT with a session to keep is refused"):
            weir.expect(run.mqtt("new", **keep).return_code == 0x97, "another code")
            weir.expect(run.mqtt("new4", clean=False).return_code == 3, "another")
        with tap.case("full: UNSUBSCRIBE of a kept session ends the connection"):
            packet_id = struct.pack(">H", old.new_id())
            old.send(
                weir.packet(
                    weir.UNSUBSCRIBE, 2, packet_id + weir.mqtt_string("before")
                )
            )
            weir.expect(old.is_closed(), "it stays open")
        with tap.case("full: who keeps nothing goes on"):
            passing = run.mqtt("passing", will=("w", "w", 0, False))
            weir.expect(passing.return_code == 0, "refused")
            weir.expect(subscribe(passing, "p")[0] == b"\1", "refused")
            run.mqtt("other").publish("p", "x", 0)
            weir.expect(passing.receive().payload == b"x", "another")
        with tap.case("when its messages are read there is room again"):
            # Nobody gets in with a session to keep; who was there may be back
            # when room was made by others: here, by one that gives up.
            weir.expect(run.mqtt("reader", clean=True).return_code == 0, "refused")

            def fits():
                client = run.mqtt("new", **keep)
                code = client.return_code
                client.close()
                return code == 0

            weir.wait_for("a session is let in", fits)
            weir.expect(subscribe(there, "x")[0] == b"\1", "refused")


def main():
    tap = weir.Tap()
    for what, end in ENDS:
        sessions(tap, what, end)
        retained(tap, what, end)
        wills(tap, what, end)
    retained_last(tap)
    killed_again_and_again(tap)
    delayed_will(tap)
    delayed_over_restart(tap)
    expiries(tap)
    many(tap)
    bridge_comes_back(tap)
    unusable(tap)
    full(tap)
    tap.done()


if __name__ == "__main__":
    main()
