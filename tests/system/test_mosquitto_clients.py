#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""Clients that others wrote: mosquitto_pub, mosquitto_sub, paho."""

import os
import shutil
import subprocess
import threading
import time

import weir

try:
    import paho.mqtt.client as paho
except ImportError:
    paho = None

VERSIONS = ("mqttv311", "mqttv5")


class Sub:
    """A mosquitto_sub in the background, and its lines."""

    def __init__(self, suite, *arguments, wait=True):
        self.suite = suite
        self.path = os.path.join(suite.box.dir, "sub-%x" % id(self))
        # A sentinel subscription on top shows that SUBACK has come.
        self.ready = "ready/%x" % id(self)
        argv = ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(suite.port)]
        argv += ["-t", self.ready, *arguments]
        with open(self.path, "wb") as out:
            self.child = suite.box.spawn(argv, out)
        if wait:
            self.wait_ready()

    def wait_ready(self):
        def heard():
            pub(self.suite, "-t", self.ready, "-m", "READY")
            return any("READY" in line for line in self.all_lines())

        weir.wait_for("mosquitto_sub has subscribed", heard)

    def all_lines(self):
        """Those that are whole: a long one is written in pieces."""
        with open(self.path, errors="replace") as f:
            return [
                line.rstrip("\n")
                for line in f.read().splitlines(keepends=True)
                if line.endswith("\n")
            ]

    def lines(self):
        return [line for line in self.all_lines() if "READY" not in line]

    def wait_lines(self, count):
        weir.wait_for(
            "%d lines" % count, lambda: len(self.lines()) >= count, pause=0.05
        )
        return self.lines()

    def end(self):
        self.child.terminate()
        self.child.wait(timeout=10)


def pub(suite, *arguments, check=True, text=None):
    done = subprocess.run(
        ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(suite.port), *arguments],
        input=text,
        stdin=subprocess.DEVNULL if text is None else None,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=30,
    )
    if check:
        weir.expect(done.returncode == 0, "mosquitto_pub: " + done.stdout)
    return done


def qualities(tap, suite, version):
    for qos in "012":
        with tap.case("%s: QoS %s arrives, in order" % (version, qos)):
            sub = Sub(suite, "-V", version, "-q", qos, "-t", "q/" + qos)
            # mosquitto 2.0.11 loses count of its own window of 20 when more
            # MQTT 5.0 QoS 2 messages than that come at once.
            count = 20 if (version, qos) == ("mqttv5", "2") else 300
            lines = "".join("line %d\n" % i for i in range(count))
            pub(suite, "-V", version, "-q", qos, "-t", "q/" + qos, "-l", text=lines)
            got = sub.wait_lines(count)
            weir.expect(got == lines.splitlines(), "%d lines" % len(got))
            sub.end()


def wildcards(tap, suite, version):
    with tap.case(version + ": + and # match what they should"):
        plus = Sub(suite, "-V", version, "-v", "-t", "w/+/temp")
        both = Sub(suite, "-V", version, "-v", "-t", "w/#")
        for topic in ("w/a/temp", "w/b/temp", "w/a/b/temp", "w", "x/a/temp"):
            pub(suite, "-V", version, "-q", "1", "-t", topic, "-m", "m")
        weir.expect(
            both.wait_lines(4) == ["w/a/temp m", "w/b/temp m", "w/a/b/temp m", "w m"],
            both.lines(),
        )
        weir.expect(plus.lines() == ["w/a/temp m", "w/b/temp m"], plus.lines())
        plus.end()
        both.end()


def retained(tap, suite, version):
    topic = "kept/" + version
    with tap.case(version + ": a retained message waits, and goes when emptied"):
        pub(suite, "-V", version, "-r", "-q", "1", "-t", topic, "-m", "old")
        pub(suite, "-V", version, "-r", "-q", "1", "-t", topic, "-m", "new")
        sub = Sub(suite, "-V", version, "-F", "%r %p", "-t", topic)
        weir.expect(sub.wait_lines(1) == ["1 new"], sub.lines())
        pub(suite, "-V", version, "-q", "1", "-t", topic, "-m", "live")
        weir.expect(sub.wait_lines(2)[1] == "0 live", sub.lines())
        sub.end()
        pub(suite, "-V", version, "-r", "-q", "1", "-t", topic, "-n")
        sub = Sub(suite, "-V", version, "-t", topic)
        weir.expect(sub.lines() == [], sub.lines())
        sub.end()


def wills(tap, suite, version):
    topic = "will/" + version
    will = ["--will-topic", topic, "--will-payload", "gone", "--will-qos", "1"]
    with tap.case(version + ": a will is sent when its client is killed"):
        watcher = Sub(suite, "-V", version, "-q", "1", "-t", topic)
        doomed = Sub(suite, "-V", version, "-t", "unused", *will)
        doomed.child.kill()
        weir.expect(watcher.wait_lines(1) == ["gone"], watcher.lines())
    with tap.case(version + ": a will is not sent after DISCONNECT"):
        level = 5 if version == "mqttv5" else 4
        polite = suite.mqtt("polite", version=level, will=(topic, "gone", 1, False))
        polite.close()
        pub(suite, "-V", version, "-q", "1", "-t", topic, "-m", "marker")
        weir.expect(watcher.wait_lines(2) == ["gone", "marker"], watcher.lines())
        watcher.end()


def sessions(tap, suite, version):
    name = "kept-" + version
    more = ["-x", "3600"] if version == "mqttv5" else []
    keep = ["-V", version, "-i", name, "-c", "-q", "1", "-t", "s/" + version, *more]
    with tap.case(version + ": a session keeps what comes while its client is away"):
        sub = Sub(suite, *keep)
        sub.end()
        for i in range(20):
            pub(suite, "-V", version, "-q", "1", "-t", "s/" + version, "-m", str(i))
        sub = Sub(suite, *keep, wait=False)
        weir.expect(sub.wait_lines(20) == [str(i) for i in range(20)], sub.lines())
        sub.end()
    with tap.case(version + ": a clean start forgets it"):
        clean = Sub(suite, "-V", version, "-i", name, "-t", "nothing/here")
        pub(suite, "-V", version, "-q", "1", "-t", "s/" + version, "-m", "lost")
        clean.end()
        weir.expect(clean.lines() == [], clean.lines())


def take_over(tap, suite):
    for version in (4, 5):
        with tap.case("MQTT level %d: the second client takes over" % version):
            first = suite.mqtt("same", version=version)
            second = suite.mqtt("same", version=version)
            if version == 5:
                # 0x8e Session taken over, [MQTT-3.1.4-3]
                body = first.expect(weir.DISCONNECT)
                weir.expect(body[:1] == b"\x8e", body)
            weir.expect(first.is_closed(), "the first is still open")
            second.ping()
            second.close()
    with tap.case("many take-overs of one name leave one client"):
        clients = []

        def connect():
            for _ in range(15):
                clients.append(suite.mqtt("crowd"))

        threads = [threading.Thread(target=connect) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        weir.expect(len(clients) == 60, "%d connected" % len(clients))

        def alive():
            count = 0
            for client in clients:
                try:
                    client.ping(timeout=5)
                    count += 1
                except (OSError, EOFError):
                    pass
            return count

        weir.expect(alive() == 1, "%d alive" % alive())
        for client in clients:
            client.cut()


def accounts(tap, suite):
    with tap.case("a right password connects, a wrong one is refused"):
        pub(suite, "-u", "admin", "-P", "public", "-t", "a", "-m", "x")
        for version, word in (("mqttv311", "refused"), ("mqttv5", "")):
            done = pub(
                suite,
                *("-V", version, "-u", "admin", "-P", "wrong", "-t", "a", "-m", "x"),
                check=False
            )
            weir.expect(done.returncode != 0, "accepted")
            weir.expect(word in done.stdout.lower(), done.stdout)


def large(tap, suite):
    with tap.case("a message of 48 KiB arrives whole"):
        path = os.path.join(suite.box.dir, "large")
        data = os.urandom(24 << 10).hex()
        with open(path, "w") as f:
            f.write(data)
        sub = Sub(suite, "-q", "2", "-t", "large")
        pub(suite, "-q", "2", "-t", "large", "-f", path)
        weir.expect(sub.wait_lines(1) == [data], "another message")
        sub.end()


def many(tap, suite):
    """Clients on all workers, each sending to all others."""
    if paho is None:
        raise weir.Skip("python3-paho-mqtt is not installed")
    clients, counts = [], []
    peers, each = 8, 50

    def start(index):
        client = paho.Client("paho-%d" % index)
        counts.append(0)
        subscribed = threading.Event()

        def on_message(*_):
            counts[index] += 1

        client.on_message = on_message
        client.on_subscribe = lambda *_: subscribed.set()
        client.connect("127.0.0.1", suite.port)
        client.loop_start()
        client.subscribe("all/+", 2)
        weir.expect(subscribed.wait(10), "no SUBACK")
        clients.append(client)

    with tap.case("paho: %d clients send %d each to all, QoS 0 to 2" % (peers, each)):
        for index in range(peers):
            start(index)
        started = time.monotonic()
        for number in range(each):
            for index, client in enumerate(clients):
                client.publish("all/%d" % index, str(number), 1 + number % 2)
        wanted = peers * each
        weir.wait_for(
            "each has %d messages" % wanted,
            lambda: all(count >= wanted for count in counts),
            60,
        )
        weir.expect(counts == [wanted] * peers, "too many: %r" % counts)
        tap.note(
            "%d deliveries in %.2f s" % (sum(counts), time.monotonic() - started)
        )
        for client in clients:
            client.disconnect()
            client.loop_stop()


def main():
    tap = weir.Tap()
    if shutil.which("mosquitto_pub") is None:
        print("1..0 # SKIP mosquitto-clients is not installed")
        return
    with tap.case("the suite ends in order"), weir.Weir() as suite:
        for version in VERSIONS:
            for group in (qualities, wildcards, retained, wills, sessions):
                group(tap, suite, version)
        for group in (take_over, accounts, large, many):
            group(tap, suite)
    tap.done()


if __name__ == "__main__":
    main()
