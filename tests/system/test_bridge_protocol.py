#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""What a bridge and its remote agree on, and when they are connected."""

import shutil
import signal
import subprocess
import time

import scripted
import weir


def bridge(port, **more):
    settings = {
        "name": "cloud",
        "url": "mqtt://127.0.0.1:%d" % port,
        "forward": [{"filter": "out/#", "qos": 1}],
        "retry_min": "50ms",
        "retry_max": "500ms",
    }
    settings.update(more)
    return settings


def reconfigure(suite, **keys):
    """Other keys of the bridge; the programs are told."""
    suite.settings["bridges"][0].update(keys)
    with open(suite.config, "w") as f:
        f.write(weir.libconfig(suite.settings))
    suite.child.send_signal(signal.SIGHUP)


def state(port, topic):
    """What is retained there, or None."""
    client = weir.Mqtt(port, "state-reader")
    try:
        client.subscribe(topic, 1)
        try:
            return client.receive(timeout=0.3).payload.decode()
        except AssertionError:
            return None
    finally:
        client.close()


def properties(tap):
    """Both ways with a real broker, and with its topic aliases."""
    tool = shutil.which("mosquitto_sub")
    if tool is None or shutil.which("mosquitto_pub") is None:
        raise weir.Skip("mosquitto-clients is not installed")
    sent = ["content-type text/x", "response-topic re/x", "correlation-data id7",
            "user-property key value", "message-expiry-interval 600"]
    shape = "%t|%p|%C|%R|%D|%P|%E"

    def pass_on(source, target, topic, wanted):
        listener = subprocess.Popen(
            [tool, "-h", "127.0.0.1", "-p", str(target), "-V", "5", "-q", "1",
             "-t", wanted, "-C", "3", "-W", "20", "-F", shape],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8",
        )
        time.sleep(0.5)
        argv = ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(source), "-V", "5",
                "-q", "1", "-t", topic]
        for words in sent:
            argv += ["-D", "publish"] + words.split(" ")
        for number in range(3):
            subprocess.run(argv + ["-m", "payload %d" % number], check=True, timeout=20)
        return listener.communicate(timeout=30)[0].splitlines()

    with weir.Mosquitto() as remote, weir.Weir(
        bridges=[bridge(remote.port, receive=[{"filter": "in/#"}])]
    ) as suite:
        weir.wait_for("it is connected", lambda: suite.logged("event=bridge_connected"))
        for name, source, target, topic in (
            ("out", suite.port, remote.port, "out/topic"),
            ("in", remote.port, suite.port, "in/topic"),
        ):
            with tap.case("MQTT 5.0 properties go %s with the message" % name):
                lines = pass_on(source, target, topic, topic)
                weir.expect(len(lines) == 3, lines)
                for number, line in enumerate(lines):
                    parts = line.split("|")
                    weir.expect(
                        parts[:5] == [topic, "payload %d" % number, "text/x", "re/x", "id7"],
                        line,
                    )
                    weir.expect("key:value" in parts[5], line)
                    weir.expect(590 <= int(parts[6]) <= 600, line)


def limits(tap):
    """Receive Maximum 3, Maximum QoS 1, Maximum Packet Size 200, 2 aliases."""
    told = b"\x21\0\3" + b"\x24\1" + b"\x27\0\0\0\xc8" + b"\x22\0\2" + b"\x25\0"
    book = scripted.Book(told)
    answers = []

    def slow(peer, _):
        peer.read_connect()
        peer.send(scripted.connack(properties=told))
        while True:
            kind, flags, body = peer.read(timeout=60)
            if kind == weir.PUBLISH:
                answers.append((peer, kind, flags, body))
                book.packets.append((kind, flags, body))
            else:
                book.answer(peer, kind, flags, body)

    with scripted.Remote(slow) as remote, weir.Weir(
        bridges=[bridge(remote.port, forward=[{"filter": "out/#", "qos": 2}],
                        notifications="none")]
    ) as suite:
        client = suite.mqtt("local")
        with tap.case(
            "limits: the window is used in full, and no more "
            "[MQTT-3.3.4-7] [MQTT-4.9.0-1] [MQTT-4.9.0-2]"
        ):
            for number in range(6):
                client.publish("out/topic/%d" % (number % 2), "m%d" % number, 1,
                               retain=True)
            weir.wait_for("three are there", lambda: len(answers) == 3)
            time.sleep(0.3)
            weir.expect(len(answers) == 3, len(answers))
        with tap.case(
            "limits: Maximum QoS and Retain Available are kept to "
            "[MQTT-3.2.2-11] [MQTT-3.2.2-14]"
        ):
            weir.expect(all(flags == 2 for _, _, flags, _ in answers), answers)
        with tap.case("limits: an alias takes the topic's place"):
            lengths = [body[1] for _, _, _, body in answers]
            weir.expect(lengths == [11, 11, 0], lengths)
        with tap.case(
            "limits: what is too large goes no further, and is counted "
            "[MQTT-3.2.2-15]"
        ):
            # The window moves on as it is acknowledged.
            client.publish("out/topic/0", "x" * 300, 1)
            done = 0
            while done < 6:
                weir.wait_for("the next comes", lambda: len(answers) > done)
                book.answer(*answers[done])
                done += 1
            weir.wait_for(
                "the ring is empty", lambda: suite.ring_is("broker→cloud", used=0)
            )
            weir.expect(len(answers) == 6, len(answers))
            weir.expect(suite.lines("bridge_message_dead"), "no line")
        with tap.case("limits: the log says what the remote allows"):
            weir.expect(suite.lines("bridge_limited"), "no line")


def will(tap):
    with weir.Mosquitto() as remote, weir.Weir(
        bridges=[
            bridge(remote.port, notifications="local",
                   will={"topic": "gone/cloud", "payload": "bye", "qos": 1})
        ]
    ) as suite:
        topic = "$SYS/broker/connection/cloud/state"
        with tap.case("notifications: here, 1 while it is connected"):
            weir.wait_for("1", lambda: state(suite.port, topic) == "1", pause=0.1)
        watcher = weir.Collector(remote.port, "gone/#", qos=1)
        with tap.case("a will is published when the bridge dies"):
            weir.kill(suite.pid("weir-bridged", "cloud"), signal.SIGKILL)
            weir.wait_for("it comes", lambda: "bye" in watcher.payloads())
            weir.wait_for("1", lambda: state(suite.port, topic) == "1", pause=0.1)
        with tap.case("notifications: here, 0 while the remote is away"):
            remote.kill()
            weir.wait_for("0", lambda: state(suite.port, topic) == "0", pause=0.1)
            remote.start()
            weir.wait_for("1", lambda: state(suite.port, topic) == "1", pause=0.1)
        watcher.stop()


def notifications(tap):
    topic = "state/of/cloud"
    for protocol in ("3.1.1", "5.0"):
        with weir.Mosquitto() as remote:
            with weir.Weir(
                bridges=[
                    bridge(remote.port, protocol=protocol, notifications="both",
                           notification_topic=topic)
                ]
            ) as suite:
                with tap.case(protocol + ": notifications: 1 on both sides"):
                    for port in (remote.port, suite.port):
                        weir.wait_for("1", lambda: state(port, topic) == "1", pause=0.1)
                with tap.case(protocol + ": notifications: 0 there when it dies"):
                    watcher = weir.Collector(remote.port, topic, qos=1)
                    weir.kill(suite.pid("weir-bridged", "cloud"), signal.SIGKILL)
                    weir.wait_for("0, then 1", lambda: watcher.payloads() == ["1", "0", "1"])
                    watcher.stop()
            with tap.case(protocol + ": notifications: 0 there when it ends in order"):
                weir.wait_for("0", lambda: state(remote.port, topic) == "0", pause=0.1)


def rate(tap):
    with weir.Mosquitto() as remote, weir.Weir(
        bridges=[bridge(remote.port, backlog="4MiB", rate={"per_second": 50, "burst": 5})]
    ) as suite:
        remote.kill()
        client = suite.mqtt("local")
        for number in range(100):
            client.publish("out/n", str(number), 1)
        remote.start()
        there = weir.Collector(remote.port, "out/#", qos=1)
        with tap.case("rate: a backlog is sent no faster than that"):
            there.wait_count(60)
            first, later = there.messages[5], there.messages[55]
            took = later.arrived - first.arrived
            tap.note("50 messages took %.2f s, at 50 a second" % took)
            weir.expect(took > 0.8, "%.2f s" % took)
        with tap.case("rate: SIGHUP takes the limit off"):
            for number in range(100, 1100):
                client.publish("out/n", str(number), 1, wait=False)
            began = time.monotonic()
            reconfigure(suite, rate={"per_second": 0})
            weir.wait_for("all are there", lambda: "1099" in there.payloads(), 60)
            took = time.monotonic() - began
            weir.expect(took < 10, "%.2f s" % took)
            got = [int(p) for p in there.payloads()]
            weir.expect(got == sorted(set(got)), "order")
        there.stop()


def lazy(tap):
    book = scripted.Book()
    with scripted.Remote(book) as remote, weir.Weir(
        bridges=[bridge(remote.port, start="lazy", idle_timeout="300ms")]
    ) as suite:
        with tap.case("lazy: it does not connect before a message waits"):
            time.sleep(0.5)
            weir.expect(remote.count == 0, remote.count)
            suite.publish("out/a", "first")
            weir.wait_for("it arrives", lambda: len(book.messages) == 1)
        with tap.case("lazy: it leaves in order when nothing passes"):
            weir.wait_for("it leaves", lambda: suite.logged("event=bridge_idle"))
            weir.wait_for(
                "DISCONNECT", lambda: book.packets[-1][0] == weir.DISCONNECT
            )
        with tap.case("lazy: and comes back for the next"):
            suite.publish("out/a", "second")
            weir.wait_for("it arrives", lambda: len(book.messages) == 2)
            weir.expect(remote.count == 2, remote.count)


def patient(tap):
    """A lazy one that waits for many, or for the oldest to be old."""
    book = scripted.Book()
    settings = {"start": "lazy", "idle_timeout": "100ms", "lazy_threshold": "2KiB"}
    with scripted.Remote(book) as remote, weir.Weir(
        bridges=[bridge(remote.port, lazy_wait="1h", **settings)]
    ) as suite:
        with tap.case("lazy: few messages are waited with, many are sent"):
            suite.publish("out/a", "few")
            time.sleep(0.5)
            weir.expect(remote.count == 0, remote.count)
            for number in range(30):
                suite.publish("out/a", "x" * 100)
            weir.wait_for("they arrive", lambda: len(book.messages) == 31)
            weir.expect(book.messages[0].payload == b"few", "order")
        weir.wait_for("it leaves", lambda: suite.logged("event=bridge_idle"))
        with tap.case("lazy: one that has waited for lazy_wait is sent"):
            suite.publish("out/a", "old")
            time.sleep(0.5)
            weir.expect(remote.count == 1, remote.count)
            reconfigure(suite, lazy_wait="10ms")
            weir.wait_for("it arrives", lambda: len(book.messages) == 32)


def hops(tap):
    """A -> B -> C, where B lets pass what comes from its own clients alone."""
    book = scripted.Book()
    with scripted.Remote(book) as last, weir.Weir(
        http=None, bridges=[bridge(last.port, max_hops=1)]
    ) as middle, weir.Weir(bridges=[bridge(middle.port)]) as first:
        there = weir.Collector(middle.port, "out/#", qos=1)
        with tap.case("max_hops: what has passed so many Weirs goes no further"):
            weir.expect(first.publish("out/a", "from afar") == 200, "status")
            weir.wait_for("it gets to B", lambda: "from afar" in there.payloads())
            middle.mqtt("near").publish("out/a", "from here", 1)
            weir.wait_for("it gets to C", lambda: book.messages)
            got = [m.payload for m in book.messages]
            weir.expect(got == [b"from here"], got)
        there.stop()


def once(tap):
    book = scripted.Book()

    def cut(peer, number):
        if number != 2:
            book(peer)
        peer.read_connect()
        peer.send(scripted.connack())
        peer.read()

    with scripted.Remote(cut) as remote:
        # The first connection refuses: that is not the end yet.
        book.code = 0x88
        with weir.Weir(bridges=[bridge(remote.port, start="once")]) as suite:
            weir.wait_for("it tries", lambda: remote.count >= 1)
            book.code = 0
            with tap.case("once: a connection that is lost is the last"):
                suite.publish("out/a", "cut")
                weir.wait_for("it ends", lambda: suite.logged("event=bridge_ended"))
                count = remote.count
                time.sleep(1)
                weir.expect(remote.count == count, remote.count)
            with tap.case("once: until start is changed"):
                reconfigure(suite, start="automatic")
                weir.wait_for("it arrives", lambda: book.messages)


def changes(tap):
    book = scripted.Book()
    with scripted.Remote(book) as remote, weir.Weir(
        bridges=[bridge(remote.port, keepalive="30s")]
    ) as suite:
        weir.wait_for("it is connected", lambda: len(book.connects) == 1)
        pid = suite.pid("weir-bridged", "cloud")
        with tap.case("reload: a key of the connection makes a new one"):
            reconfigure(suite, username="somebody")
            weir.wait_for("it connects", lambda: len(book.connects) == 2)
            weir.expect(b"somebody" in book.connects[1], book.connects[1])
            weir.expect(suite.pid("weir-bridged", "cloud") == pid, "restarted")
        with tap.case("reload: or the next one does, when it is lazy"):
            reconfigure(suite, reload="lazy", username="another")
            suite.publish("out/a", "x")
            weir.wait_for("it arrives", lambda: book.messages)
            weir.expect(len(book.connects) == 2, len(book.connects))
        with tap.case("reload: what needs a restart is said"):
            reconfigure(suite, max_inflight=7)
            weir.wait_for(
                "it is", lambda: any("max_inflight" in line
                                     for line in suite.lines("reload_incomplete"))
            )
        with tap.case("reload: another remote gets what the first has not"):
            other = scripted.Book()
            with scripted.Remote(other) as second:
                reconfigure(suite, reload="immediate",
                            url="mqtt://127.0.0.1:%d" % second.port)
                suite.publish("out/a", "to the other")
                weir.wait_for("it arrives", lambda: other.messages)
                weir.expect(other.messages[0].payload == b"to the other",
                            other.messages[0].payload)


def denied(tap):
    """Wrong credentials mean long waits; a reload that mends them ends it."""
    book = scripted.Book(code=0x86)
    with scripted.Remote(book) as remote, weir.Weir(
        bridges=[bridge(remote.port, retry_min="50ms", retry_max="1h", username="wrong")]
    ) as suite:
        suite.publish("out/a", "kept")
        weir.wait_for("it is refused", lambda: suite.logged("username and password_file"))
        book.code = 0
        with tap.case("reload: mended credentials are tried at once"):
            reconfigure(suite, username="right")
            weir.wait_for("it arrives", lambda: book.messages)
            weir.expect(book.messages[0].payload == b"kept", book.messages[0].payload)


def comes_back(tap):
    """retry_max is 30 s by default; what waits is not kept for that long."""
    with weir.Mosquitto() as remote, weir.Weir(
        bridges=[bridge(remote.port, backlog="4MiB", retry_min="500ms", retry_max="30s")]
    ) as suite:
        weir.wait_for("it is connected", lambda: suite.logged("event=bridge_connected"))
        remote.kill()
        with tap.case("a drain begins within 2 s of the remote's return"):
            # Long enough for the waits to have grown without a backlog.
            weir.wait_for("it waits", lambda: len(suite.lines("bridge_retry")) >= 5, 60)
            for number in range(200):
                weir.expect(suite.publish("out/n", str(number)) == 200, number)
            time.sleep(2)
            before = len(suite.lines("bridge_connected"))
            began = time.monotonic()
            remote.start()
            weir.wait_for(
                "it is connected", lambda: len(suite.lines("bridge_connected")) > before
            )
            took = time.monotonic() - began
            weir.wait_for(
                "all is gone", lambda: suite.ring_is("broker→cloud", used=0)
            )
            tap.note("connected %.2f s after the remote's start" % took)
            weir.expect(took < 2, "%.2f s" % took)


def main():
    tap = weir.Tap()
    for name, group in (
        ("properties", properties),
        ("limits", limits),
        ("will", will),
        ("notifications", notifications),
        ("rate", rate),
        ("lazy", lazy),
        ("patient", patient),
        ("hops", hops),
        ("once", once),
        ("changes", changes),
        ("denied", denied),
        ("comes back", comes_back),
    ):
        with tap.case(name + ": the suite starts, and ends in order"):
            group(tap)
    tap.done()


if __name__ == "__main__":
    main()
