#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""QoS 2 over a bridge: exactly once, while either end of it is killed.

Numbered messages go both ways.  weir-bridged is killed with SIGKILL at random
moments and started again; so is, in another case, the remote, which keeps its
session.  In the end each number has arrived once, in order.  From mosquitto the
order is not judged: after a reconnection 2.0.11 may send one that is new before
those that it has queued, as a relay between the two has seen.
WEIR_SEED repeats a run.
"""

import os
import random
import socket
import struct
import threading
import time

import weir

KILLS = 25
SEED = int(os.environ.get("WEIR_SEED", random.SystemRandom().randrange(1 << 31)))

# More than a run comes to, so that a fault ends it.
MOST = 30000

# So far may a publisher be ahead of what has arrived.
AHEAD = 500


class Pair(weir.Weir):
    """weir-broker and one weir-bridged, started without a supervisor.

    The broker holds the bridge's memory; a supervisor would wait longer and
    longer before it starts again what is killed again and again.
    """

    def __init__(self, remote_port, protocol, **more):
        self.bridge = None
        rule = {"qos": 2}
        bridge = {
            "name": "cloud",
            "url": "mqtt://127.0.0.1:%d" % remote_port,
            "protocol": protocol,
            "forward": [dict(rule, filter="bridge/#")],
            "receive": [dict(rule, filter="cmd/#")],
            "retry_min": "10ms",
            "retry_max": "100ms",
            "overflow": "stall",
        }
        super().__init__(
            http=None,
            bridges=[bridge],
            max_queued_messages=100000,
            max_queued_bytes="256MiB",
            **more
        )

    def start(self):
        with open(self.log, "ab") as log:
            self.child = self.box.spawn(
                [weir.program("weir-broker"), "-c", self.config], log
            )
        self.start_bridge()

    def start_bridge(self):
        with open(self.log, "ab") as log:
            self.bridge = self.box.spawn(
                [weir.program("weir-bridged"), "-c", self.config, "cloud"], log
            )

    def kill_bridge(self):
        weir.expect(self.bridge.poll() is None, "weir-bridged ended by itself")
        self.bridge.kill()
        self.bridge.wait()

    def shut_down(self, seconds=15):
        self.bridge.terminate()
        self.bridge.wait(timeout=seconds)
        return super().shut_down(seconds)


class Publisher(threading.Thread):
    """Numbers at QoS 2, one after the other, until it is told to stop."""

    def __init__(self, port, topic, arrived):
        super().__init__(daemon=True)
        self.arrived = arrived
        self.client = weir.Mqtt(port, "publisher-" + topic.replace("/", "-"))
        self.topic = topic
        self.count = 0
        self.stopping = False
        self.broken = None
        self.start()

    def run(self):
        try:
            while not self.stopping and self.count < MOST:
                if self.count - self.arrived() > AHEAD:
                    time.sleep(0.005)
                    continue
                self.client.publish(self.topic, str(self.count), 2)
                self.count += 1
        except (AssertionError, EOFError, OSError) as error:
            self.broken = error

    def stop(self):
        self.stopping = True
        self.join(30)
        weir.expect(not self.is_alive(), "a publisher is stuck")
        weir.expect(self.broken is None, "a publisher failed: %r" % self.broken)
        self.client.close()
        return self.count


def numbers(collector, topic):
    return [int(m.payload) for m in list(collector.messages) if m.topic == topic]


def probe(sender, collector):
    """The bridge has subscribed when a message from the remote gets here."""

    def here():
        sender.publish("cmd/probe", "there?", 2)
        return any(m.topic == "cmd/probe" for m in list(collector.messages))

    weir.wait_for("the bridge has subscribed", here, pause=0.1)


def check(tap, name, got, count, in_order=True):
    """Each number once, in order; say what is wrong otherwise."""
    lost = sorted(set(range(count)) - set(got))
    twice = sorted({n for n in got if got.count(n) > 1}) if len(got) > count else []
    tap.ok(
        (got if in_order else sorted(got)) == list(range(count)),
        "%s: of %d messages 0 lost, 0 twice%s"
        % (name, count, ", all in order" if in_order else ""),
        "lost %.200r, twice %.200r, %d arrived" % (lost, twice, len(got)),
    )


def kill_at_random(tap, suite, dice, kills, progress):
    """Kill the bridge after some more messages have passed, again and again."""
    for _ in range(kills):
        want = progress() + dice.randrange(1, 60)
        weir.wait_for("messages pass", lambda: progress() >= want, 60, pause=0.001)
        time.sleep(dice.random() * 0.02)
        suite.kill_bridge()
        time.sleep(dice.choice((0, 0, 0.05)))
        suite.start_bridge()
    tap.note("%d kills of weir-bridged" % kills)


def bridge_killed(tap, name, remote, protocol, kills, dice):
    remote_port, is_weir = remote.port, isinstance(remote, weir.Weir)
    with Pair(remote_port, protocol) as suite:
        there = weir.Collector(remote_port, "bridge/#", qos=2)
        here = weir.Collector(suite.port, "cmd/#", qos=2)
        prober = weir.Mqtt(remote_port, "prober")
        probe(prober, here)
        probes = len(here.messages)
        out = Publisher(suite.port, "bridge/n", lambda: len(there.messages))
        back = Publisher(remote_port, "cmd/n", lambda: len(here.messages) - probes)
        kill_at_random(
            tap,
            suite,
            dice,
            kills,
            lambda: min(len(there.messages), len(here.messages) - probes),
        )
        counts = out.stop(), back.stop()
        for collector, topic, count, way, in_order in (
            (there, "bridge/n", counts[0], "to the remote", True),
            (here, "cmd/n", counts[1], "from the remote", is_weir),
        ):
            weir.wait_for(
                "%d messages %s" % (count, way),
                lambda: len(numbers(collector, topic)) >= count or collector.broken,
                60,
            )
            got = numbers(collector, topic)
            check(tap, "%s, %s" % (name, way), got, count, in_order)
        with tap.case(name + ": all that was taken is accounted for"):
            weir.wait_for(
                "the ring is empty", lambda: suite.ring_is("broker→cloud", used=0)
            )
            weir.expect(not suite.logged("bridge_notes_damaged"), "damaged notes")
        prober.close()
        there.stop()
        here.stop()


# -------------------------------------------------- a remote that dies, too


class Died(Exception):
    """The remote is killed here."""


class Far(threading.Thread):
    """An MQTT 3.1.1 broker for one client, whose session survives its death.

    What it knows is its state on disk: it is changed before an answer is
    written, and the next life goes on with it.
    """

    WINDOW = 10

    def __init__(self, dice, deaths):
        super().__init__(daemon=True)
        self.dice = dice
        self.deaths = deaths
        self.to_send = 0
        self.port = weir.free_port()
        self.got = []
        self.died = 0
        self.stopping = False
        self.broken = None
        # The session.
        self.exists = False
        self.subscribed = False
        self.stored = set()
        self.next = 0
        self.out = {}
        self.start()

    def may_die(self):
        if self.died < self.deaths and self.dice.random() < 0.01:
            self.died += 1
            raise Died

    def run(self):
        while not self.stopping:
            try:
                self.live()
            except (Died, EOFError, OSError):
                time.sleep(self.dice.random() * 0.05)
            except AssertionError as error:
                self.broken = error
                return

    def live(self):
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", self.port))
            listener.listen(8)
            listener.settimeout(0.1)
            while not self.stopping:
                try:
                    sock, _ = listener.accept()
                except socket.timeout:
                    continue
                with sock:
                    self.serve(sock)

    def serve(self, sock):
        """A connection; its end is not ours, but for Died."""
        link = weir.Mqtt.__new__(weir.Mqtt)
        link.version, link.sock, link.buffer = 4, sock, bytearray()
        try:
            kind, _, _ = link.read(10)
            weir.expect(kind == weir.CONNECT, "packet %d first" % kind)
            link.send(weir.packet(weir.CONNACK, 0, bytes([self.exists, 0])))
            self.exists = True
            for packet_id, (state, number) in list(self.out.items()):
                self.send_out(link, packet_id, state, number, True)
            while not self.stopping:
                self.send_more(link)
                try:
                    kind, flags, body = link.read(0.2)
                except AssertionError as error:
                    if "no packet" in str(error):
                        continue
                    raise
                self.handle(link, kind, flags, body)
        except (EOFError, OSError):
            return

    def send_out(self, link, packet_id, state, number, dup):
        if state == "publish":
            link.send(
                weir.publish_packet("cmd/n", str(number), 2, packet_id, dup=dup)
            )
        else:
            link.send(weir.packet(weir.PUBREL, 2, struct.pack(">H", packet_id)))

    def send_more(self, link):
        while (
            self.subscribed and self.next < self.to_send and len(self.out) < self.WINDOW
        ):
            packet_id = min(set(range(1, self.WINDOW + 1)) - set(self.out))
            self.out[packet_id] = ("publish", self.next)
            self.next += 1
            self.may_die()
            self.send_out(link, packet_id, *self.out[packet_id], False)

    def answer(self, link, kind, packet_id, flags=0):
        """Die before or after the other side may know."""
        self.may_die()
        link.send(weir.packet(kind, flags, struct.pack(">H", packet_id)))
        self.may_die()

    def handle(self, link, kind, flags, body):
        if kind == weir.PUBLISH:
            message = weir.Message(flags, body, 4)
            weir.expect(message.qos == 2, "QoS %d" % message.qos)
            if message.id not in self.stored:
                self.stored.add(message.id)
                self.got.append(int(message.payload))
            self.answer(link, weir.PUBREC, message.id)
        elif kind == weir.SUBSCRIBE:
            self.subscribed = True
            link.send(weir.packet(weir.SUBACK, 0, body[:2] + b"\2"))
        elif kind == weir.PINGREQ:
            link.send(weir.packet(weir.PINGRESP))
        elif kind == weir.DISCONNECT:
            raise EOFError
        else:
            self.handle_ack(link, kind, struct.unpack(">H", body[:2])[0])

    def handle_ack(self, link, kind, packet_id):
        if kind == weir.PUBREL:
            self.stored.discard(packet_id)
            self.answer(link, weir.PUBCOMP, packet_id)
        elif kind == weir.PUBREC:
            if packet_id in self.out:
                self.out[packet_id] = ("pubrel", self.out[packet_id][1])
            self.answer(link, weir.PUBREL, packet_id, 2)
        elif kind == weir.PUBCOMP:
            # Not if it answers a PUBREL of the message before this one.
            if self.out.get(packet_id, ("",))[0] == "pubrel":
                del self.out[packet_id]
        else:
            raise AssertionError("packet type %d" % kind)


def both_killed(tap, dice):
    deaths, kills, back = 25, 10, 1500
    far = Far(random.Random(dice.random()), deaths)
    with Pair(far.port, "3.1.1") as suite:
        here = weir.Collector(suite.port, "cmd/#", qos=2)
        far.to_send = back
        out = Publisher(suite.port, "bridge/n", lambda: len(far.got))
        kill_at_random(tap, suite, dice, kills, lambda: len(far.got))
        weir.wait_for(
            "%d deaths of the remote" % deaths,
            lambda: far.died >= deaths or far.broken,
            90,
        )
        count = out.stop()
        for what, done in (
            ("all is there", lambda: len(far.got) >= count),
            ("all is here", lambda: len(here.messages) >= back),
            ("the ring is empty", lambda: suite.ring_is("broker→cloud", used=0)),
            ("no exchange is open", lambda: not far.out and not far.stored),
        ):
            weir.wait_for(what, lambda: done() or far.broken, 60)
        weir.expect(far.broken is None, "the remote saw %r" % far.broken)
        tap.note("%d deaths of the remote" % far.died)
        check(tap, "both killed, to the remote", list(far.got), count)
        check(tap, "both killed, from the remote", numbers(here, "cmd/n"), back)
        here.stop()
    far.stopping = True
    far.join(10)


def main():
    tap = weir.Tap()
    tap.note("WEIR_SEED=%d" % SEED)
    dice = random.Random(SEED)
    for protocol, kills in (("5.0", KILLS), ("3.1.1", KILLS // 3)):
        name = "bridge killed, mosquitto, MQTT " + protocol
        with tap.case(name + ": the suite starts, and ends in order"):
            with weir.Mosquitto() as remote:
                bridge_killed(tap, name, remote, protocol, kills, dice)
    name = "bridge killed, a second Weir"
    with tap.case(name + ": the suite starts, and ends in order"):
        with weir.Weir(
            http=None, max_queued_messages=100000, max_queued_bytes="256MiB"
        ) as remote:
            bridge_killed(tap, name, remote, "5.0", KILLS // 2, dice)
    with tap.case("both killed: the suite starts, and ends in order"):
        both_killed(tap, dice)
    tap.done()


if __name__ == "__main__":
    main()
