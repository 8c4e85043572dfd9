#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""Clients that others wrote: libmosquitto, Paho C and Python, MQTT.js.

Those that are installed here are tried; the others are skipped, with what is
to be installed.  All do the same, with MQTT 3.1.1 and 5.0; see
clients/drivers.py.  The tools of mosquitto are in test_mosquitto_tools.py.
"""

import os
import shutil
import sys
import tempfile

import weir

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "clients"))

import drivers  # noqa: E402

MANY = 10000


class Scene:
    """The clients of one library and one version."""

    def __init__(self, suite, kind, level, command):
        self.suite = suite
        self.level = level
        self.command = command
        self.prefix = "%s-%d" % (kind, level)
        self.count = 0
        self.library = None
        self.clients = []

    def name(self):
        self.count += 1
        return "%s-%d" % (self.prefix, self.count)

    def topic(self, rest):
        return self.prefix + "/" + rest

    def end(self):
        """Nobody is left, however a case ended."""
        for client in self.clients:
            client.end()
        self.clients = []

    def client(self, name=None, clean=True, will=(), where=()):
        driver = drivers.Driver(self.suite, self.command, *where)
        self.clients.append(driver)
        self.library = driver.words("library")[0]
        driver.present = driver.connect(name or self.name(), self.level, clean, will)
        return driver


def qualities(scene):
    reader, writer = scene.client(), scene.client()
    topic = scene.topic("q")
    reader.subscribe(topic, 2)
    for qos in (0, 1, 2):
        for number in range(5):
            writer.publish(topic, "%d.%d" % (qos, number), qos)
    got = [words[:4] for words in reader.take(15)]
    want = [
        [topic, "%d.%d" % (qos, number), str(qos), "0"]
        for qos in (0, 1, 2)
        for number in range(5)
    ]
    weir.expect(got == want, got)
    reader.unsubscribe(topic)
    writer.publish(topic, "nobody", 1)
    reader.subscribe(topic, 1)
    writer.publish(topic, "again", 2)
    weir.expect(reader.take(1)[0][:3] == [topic, "again", "1"], "another")
    reader.disconnect()
    writer.disconnect()


def retained(scene):
    writer, topic = scene.client(), scene.topic("kept")
    writer.publish(topic, "old", 1, True)
    writer.publish(topic, "new", 1, True)
    reader = scene.client()
    reader.subscribe(scene.topic("+"), 1)
    weir.expect(reader.take(1)[0][:4] == [topic, "new", "1", "1"], "another")
    writer.publish(topic, "", 1, True)
    weir.expect(reader.take(1)[0][:4] == [topic, "", "1", "0"], "another")
    later = scene.client()
    later.subscribe(topic, 1)
    writer.publish(topic, "live", 0)
    weir.expect(later.take(1)[0][:4] == [topic, "live", "0", "0"], "another")
    for client in (writer, reader, later):
        client.disconnect()


def wills(scene):
    watcher, topic = scene.client(), scene.topic("will")
    watcher.subscribe(topic, 1)
    doomed = scene.client(will=(topic, "gone", 1, 0))
    doomed.kill()
    weir.expect(watcher.take(1)[0][:2] == [topic, "gone"], "another")
    polite = scene.client(will=(topic, "wrong", 1, 0))
    polite.disconnect()
    other = scene.client()
    other.publish(topic, "marker")
    weir.expect(watcher.take(1)[0][:2] == [topic, "marker"], "the Will came")
    other.disconnect()
    watcher.disconnect()


def sessions(scene):
    name, topic = scene.name(), scene.topic("session")
    client = scene.client(name, clean=False)
    weir.expect(not client.present, "a session")
    client.subscribe(topic, 2)
    client.disconnect()
    writer = scene.client()
    for number in range(30):
        writer.publish(topic, str(number), 1 + number % 2)
    client = scene.client(name, clean=False)
    weir.expect(client.present, "no session")
    # Libraries hold a QoS 2 message until its PUBREL: each QoS has its order.
    got = [(words[2], int(words[1])) for words in client.take(30)]
    for qos in (1, 2):
        numbers = [number for of, number in got if of == str(qos)]
        weir.expect(numbers == list(range(qos - 1, 30, 2)), got)
    client.disconnect()
    client = scene.client(name, clean=True)
    weir.expect(not client.present, "it was kept")
    client.disconnect()
    writer.disconnect()


def shared(scene):
    members = [scene.client() for _ in range(2)]
    topic = scene.topic("work")
    for member in members:
        member.subscribe("$share/group/" + topic, 1)
    writer = scene.client()
    for number in range(20):
        writer.publish(topic, str(number), 1)
    weir.wait_for("20 messages", lambda: sum(len(m.messages) for m in members) >= 20)
    got = sorted(int(words[1]) for m in members for words in m.messages)
    weir.expect(got == list(range(20)), got)
    weir.expect(all(m.messages for m in members), "one member has them all")
    for client in members + [writer]:
        client.disconnect()


def requests(scene):
    """A question with the topic for its answer, and a User Property."""
    server, asker = scene.client(), scene.client()
    question, answer = scene.topic("ask"), scene.topic("answer")
    server.subscribe(question, 1)
    asker.subscribe(answer, 1)
    asker.publish(question, "what", 1, False, answer, "unit", "\u00b0C")
    got = server.take(1)[0]
    weir.expect(got[4:] == [answer, "unit", "\u00b0C"], got)
    server.publish(got[4], "that", 1)
    weir.expect(asker.take(1)[0][:2] == [answer, "that"], "another")
    server.disconnect()
    asker.disconnect()


def many(scene):
    """QoS 1: libmosquitto 2.0.11 counts its window wrong with QoS 2 in 5.0."""
    count = MANY if scene.level == 4 else MANY // 5
    reader, writer = scene.client(), scene.client()
    topic = scene.topic("many")
    reader.subscribe(topic, 1)
    writer.say("burst", topic, count, 1)
    got = [words[1] for words in reader.take(count)]
    weir.expect(got == [str(number) for number in range(count)], "lost or reordered")
    writer.words("burst")
    reader.disconnect()
    writer.disconnect()


def other_ways(scene):
    """By WebSocket, or by a Unix socket where a library has no WebSocket."""
    suite = scene.suite
    where = (suite.ws_port, "/mqtt")
    if scene.prefix.startswith("libmosquitto"):
        where = (0, suite.path)
    reader, writer = scene.client(where=where), scene.client(where=where)
    topic = scene.topic("way")
    reader.subscribe(topic, 2)
    for number in range(50):
        writer.publish(topic, "%d" % number + "x" * 1000, number % 3)
    got = sorted(int(words[1].rstrip("x")) for words in reader.take(50))
    weir.expect(got == list(range(50)), got)
    reader.disconnect()
    writer.disconnect()


CASES = [
    ("QoS 0, 1 and 2, both ways, in order", qualities, False),
    ("a retained message waits, and goes when emptied", retained, False),
    ("a Will is sent for who dies, not for who leaves", wills, False),
    ("a session keeps what comes while its client is away", sessions, False),
    ("a shared subscription shares", shared, False),
    ("a question finds its answer by Response Topic", requests, True),
    ("a WebSocket or a Unix socket is as good as TCP", other_ways, False),
    ("a burst of thousands, none lost, in order", many, False),
]


def killed(tap, suite, scenes):
    """One death of the broker for all libraries."""
    clients = {}
    for scene in scenes:
        client = scene.client("back-" + scene.prefix, clean=False)
        client.subscribe("back/#", 1)
        client.publish("before/" + scene.prefix, "x", 1)
        clients[scene.prefix] = client
    with tap.case("the broker is killed and comes back"):
        weir.kill(suite.pid("weir-broker"), 9)

        def answers():
            try:
                suite.mqtt("probe").close()
                return True
            except (OSError, EOFError):
                return False

        weir.wait_for("it answers again", answers)
    writer = suite.mqtt("writer")
    for number in range(10):
        writer.publish("back/x", "b%d" % number, 1)
    for prefix, client in clients.items():
        with tap.case(prefix + ": it comes back by itself, and nothing is lost"):
            client.words("lost")
            weir.expect(client.words("connected")[0] == "0", "refused")
            got = [words[1] for words in client.take(10)]
            weir.expect(got == ["b%d" % number for number in range(10)], got)
        client.end()
    writer.close()


def together(tap, suite, scenes):
    """Each sends to all the others, whatever they are."""
    with tap.case("all libraries and versions among each other, QoS 0 to 2"):
        clients = {scene.prefix: scene.client() for scene in scenes}
        for client in clients.values():
            client.subscribe("all/#", 2)
        for prefix, client in clients.items():
            for qos in (0, 1, 2):
                client.publish("all/" + prefix, "from %s" % prefix, qos)
        want = sorted(
            ["all/" + prefix, "from " + prefix, str(qos), "0"]
            for prefix in clients
            for qos in (0, 1, 2)
        )
        for prefix, client in clients.items():
            got = sorted(words[:4] for words in client.take(len(want)))
            weir.expect(got == want, (prefix, got))
            client.disconnect()


def tries(tap, suite, kind, scenes):
    try:
        command = drivers.build(kind, suite.box.dir)
    except weir.Skip as reason:
        with tap.case(kind):
            raise reason
        return
    for level in (4, 5):
        scene = Scene(suite, kind, level, command)
        for name, what, is_v5 in CASES:
            if is_v5 and level != 5:
                continue
            with tap.case("%s: %s" % (scene.prefix, name)):
                what(scene)
            scene.end()
        scenes.append(scene)
    tap.note(scenes[-1].library)


class Suite(weir.Weir):
    """Listeners of TCP, WebSocket and a Unix socket."""

    def __init__(self, **more):
        self.ws_port = weir.free_port()
        port = weir.free_port()
        self.folder = tempfile.mkdtemp(prefix="weir-t-")
        self.path = os.path.join(self.folder, "mqtt.sock")
        listeners = [
            {"bind": "127.0.0.1:%d" % port},
            {"bind": "127.0.0.1:%d" % self.ws_port, "websocket": "/mqtt"},
            {"bind": "unix:" + self.path},
        ]
        super().__init__(mqtt_port=port, listeners=listeners, **more)

    def __exit__(self, *what):
        try:
            super().__exit__(*what)
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)


def main():
    tap = weir.Tap(200)
    durability = os.environ.get("WEIR_DURABILITY", "process")
    scenes = []
    with tap.case("the suite ends in order"), Suite(
        http=None, durability=durability, max_queued_messages=2 * MANY
    ) as suite:
        for kind in drivers.KINDS:
            tries(tap, suite, kind, scenes)
        together(tap, suite, scenes)
        if durability != "none":
            killed(tap, suite, scenes)
    tap.done()


if __name__ == "__main__":
    main()
