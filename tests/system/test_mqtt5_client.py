#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""MQTT 5.0: what binds the client, of weirctl pub and sub.

The server is this test, packet by packet; no broker runs.
"""

import socket
import subprocess
import time

import mqtt_raw as m
import weir
from cases import Cases

case = Cases()


class Verb:
    """weirctl pub or sub, and the server's end of its connection."""

    def __init__(self, verb, *arguments, text=None, connack=None, **told):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(10)
        argv = [weir.program("weirctl"), verb, "-V", "5", "-h", "127.0.0.1"]
        argv += ["-p", str(self.listener.getsockname()[1]), *arguments]
        self.child = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE if text is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        if text is not None:
            self.child.stdin.write(text.encode())
            self.child.stdin.close()
            self.child.stdin = None
        self.peer = m.Client(sock=self.listener.accept()[0], connect=False)
        # The first packet is CONNECT, and what it says is well-formed.
        self.connect = self.peer.expect(m.CONNECT, version=5)
        if connack is None:
            connack = m.connack(props=told)
        self.peer.send(connack)

    def subscribed(self, *reasons):
        """Its SUBSCRIBE, answered."""
        packet = self.peer.expect(m.SUBSCRIBE)
        self.peer.send(m.suback(packet.id, *reasons))
        return packet

    def leaves(self):
        """DISCONNECT 0x00 and the end, nothing behind it."""
        self.peer.expect(m.DISCONNECT, reason=0)
        self.peer.closed()

    def ends(self, code, why=""):
        """Its exit code, and what it printed."""
        self.peer.cut()
        out, err = self.child.communicate(timeout=10)
        weir.expect(self.child.returncode == code, (self.child.returncode, err))
        weir.expect(why in err.decode(), err)
        return out.decode()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.peer.cut()
        self.listener.close()
        if self.child.poll() is None:
            self.child.kill()
        self.child.communicate()


def pub(*arguments, **how):
    return Verb("pub", "-t", "a/b", *arguments, **how)


def lines(count):
    return "".join("%d\n" % number for number in range(count))


# ----------------------------------------------------------- CONNECT


@case(
    "CONNECT comes first, with what was asked for and nothing else "
    "[MQTT-3.1.0-1] [MQTT-3.1.2-11] [MQTT-3.1.2-13] [MQTT-3.1.2-16] "
    "[MQTT-3.1.2-18] [MQTT-3.1.3-3] [MQTT-3.1.3-5]"
)
def _():
    with pub("-n") as verb:
        told = verb.connect
        weir.expect(told.clean and told.keep_alive == 60, told)
        weir.expect(told.will is None and told.username is None, told)
        weir.expect(told.password is None and told.props == {}, told)
        weir.expect(1 <= len(told.client_id.encode()) <= 23, told.client_id)
        # [MQTT-4.3.1-1]
        verb.peer.expect(m.PUBLISH, topic="a/b", payload=b"", qos=0, dup=False)
        verb.leaves()
        verb.ends(0)


@case(
    "CONNECT has a Will, a user name and a password in their places "
    "[MQTT-3.1.2-9] [MQTT-3.1.2-12] [MQTT-3.1.2-17] [MQTT-3.1.2-19] "
    "[MQTT-3.1.3-1] [MQTT-3.1.3-4] [MQTT-3.1.3-11] [MQTT-3.1.3-12]"
)
def _():
    words = ["--will-topic", "will/é", "--will-payload", "gone", "--will-qos", "2"]
    words += ["--will-retain", "-D", "will", "will-delay-interval", "7"]
    with pub("-n", "-i", "me-ü", "-u", "anna-ß", "-P", "secret", *words) as verb:
        told, will = verb.connect, verb.connect.will
        weir.expect(told.client_id == "me-ü", told)
        weir.expect((told.username, told.password) == ("anna-ß", b"secret"), told)
        weir.expect((will.topic, will.payload) == ("will/é", b"gone"), told)
        weir.expect((will.qos, will.retain) == (2, True), told)
        weir.expect(will.props == {"will_delay_interval": 7}, will.props)
        verb.peer.expect(m.PUBLISH)
        verb.leaves()


@case("nothing is sent before CONNACK [MQTT-3.1.2-30]")
def _():
    with pub("-m", "x", connack=b"") as verb:
        verb.peer.timeout = 0.3
        weir.expect(verb.peer.read() is None, "it did not wait")
        verb.peer.timeout = 10
        verb.peer.send(m.connack())
        verb.peer.expect(m.PUBLISH, payload=b"x")
        verb.leaves()


@case("a session that was not asked for ends the connection [MQTT-3.2.2-4]")
def _():
    with pub("-m", "x", connack=m.connack(0, True)) as verb:
        verb.peer.closed()
        verb.ends(1, "session")


@case("a refusing CONNACK is the end [MQTT-4.13.2-1]")
def _():
    for reason in (0x80, 0x87, 0x9D):
        with pub("-m", "x", connack=m.connack(reason)) as verb:
            verb.peer.closed()
            verb.ends(1, "refused")


@case("DISCONNECT of the server is the end [MQTT-4.13.2-1]")
def _():
    with Verb("sub", "-t", "a") as verb:
        verb.subscribed(0)
        verb.peer.send(m.disconnect(0x8E))
        verb.peer.closed()
        verb.ends(1)


# ------------------------------------------------------- what the server takes


@case("no PUBLISH above the server's Maximum QoS [MQTT-3.2.2-11]")
def _():
    with pub("-m", "x", "-q", "2", maximum_qos=1) as verb:
        verb.leaves()
        verb.ends(1, "QoS 1")


@case("no RETAIN where the server retains nothing [MQTT-3.2.2-14]")
def _():
    with pub("-m", "x", "-r", retain_available=0) as verb:
        verb.leaves()
        verb.ends(1, "retain")


@case("no packet above the server's Maximum Packet Size [MQTT-3.2.2-15]")
def _():
    # 2 header, 5 topic, 1 properties.
    for size, fits in ((18, True), (17, False)):
        with pub("-m", "x" * 10, maximum_packet_size=size) as verb:
            if fits:
                verb.peer.expect(m.PUBLISH, payload=b"x" * 10)
            verb.leaves()
            verb.ends(0 if fits else 1)


@case(
    "no topic alias above the server's maximum, none where it takes none "
    "[MQTT-3.2.2-17] [MQTT-3.2.2-18] [MQTT-3.3.2-9]"
)
def _():
    words = ("-m", "x", "-D", "publish", "topic-alias", "3")
    for told, fits in (({"topic_alias_maximum": 3}, True),
                       ({"topic_alias_maximum": 2}, False), ({}, False)):
        with pub(*words, **told) as verb:
            if fits:
                verb.peer.expect(m.PUBLISH, topic="a/b", props={"topic_alias": 3})
            verb.leaves()
            verb.ends(0 if fits else 1)


@case(
    "a Subscription Identifier or an alias 0 is not sent [MQTT-3.3.4-6] [MQTT-3.3.2-8]"
)
def _():
    for name, value in (("subscription-identifier", "1"), ("topic-alias", "0")):
        done = subprocess.run(
            [weir.program("weirctl"), "pub", "-V", "5", "-p", "1", "-t", "a", "-n",
             "-D", "publish", name, value],
            stderr=subprocess.PIPE,
            timeout=10,
        )
        weir.expect(done.returncode == 64, done)


@case(
    "PINGREQ comes as often as the server wants [MQTT-3.1.2-20] [MQTT-3.1.2-21] "
    "[MQTT-3.2.2-21]"
)
def _():
    with Verb("sub", "-t", "a", "-k", "600", server_keep_alive=1) as verb:
        verb.subscribed(0)
        began = time.monotonic()
        for _ in range(2):
            verb.peer.expect(m.PINGREQ, timeout=5)
            verb.peer.send(m.pingresp())
        passed = time.monotonic() - began
        weir.expect(passed < 4, "%.1f s" % passed)


# ----------------------------------------------------------------- sending


@case(
    "identifiers are not 0, not in use, and DUP is 0 "
    "[MQTT-2.2.1-3] [MQTT-4.3.2-1] [MQTT-4.3.2-2] [MQTT-3.3.1-2]"
)
def _():
    count = 15
    with pub("-l", "-q", "1", text=lines(count)) as verb:
        got = [verb.peer.expect(m.PUBLISH, qos=1, dup=False) for _ in range(count)]
        weir.expect([p.payload for p in got] == [b"%d" % n for n in range(count)], got)
        weir.expect(len({p.id for p in got}) == count, "an identifier twice")
        # None is sent again, however late the answers are [MQTT-4.3.2-3].
        verb.peer.timeout = 0.2
        weir.expect(verb.peer.read() is None, "something came")
        verb.peer.timeout = 10
        for packet in got:
            verb.peer.send(m.puback(packet.id))
        verb.leaves()
        verb.ends(0)


@case(
    "QoS 2: PUBREL follows PUBREC, in its order and under its identifier "
    "[MQTT-4.3.3-1] [MQTT-4.3.3-2] [MQTT-4.3.3-4] [MQTT-4.6.0-4] [MQTT-3.6.2-1]"
)
def _():
    with pub("-l", "-q", "2", text=lines(4)) as verb:
        got = [verb.peer.expect(m.PUBLISH, qos=2, dup=False) for _ in range(4)]
        order = [got[2].id, got[0].id, got[3].id, got[1].id]
        weir.expect(len(set(order)) == 4, "an identifier twice")
        verb.peer.send(*(m.pubrec(number) for number in order))
        for number in order:
            verb.peer.expect(m.PUBREL, id=number, reason=0)
        # It waits for the last PUBCOMP [MQTT-4.3.3-5].
        verb.peer.send(*(m.pubcomp(number) for number in order[:3]))
        verb.peer.timeout = 0.2
        weir.expect(verb.peer.read() is None, "it did not wait")
        verb.peer.timeout = 10
        verb.peer.send(m.pubcomp(order[3]))
        verb.leaves()
        verb.ends(0)


@case(
    "QoS 2: PUBREC of 0x80 or above ends it, without PUBREL [MQTT-4.4.0-2] "
    "[MQTT-4.3.3-4]"
)
def _():
    with pub("-m", "x", "-q", "2") as verb:
        got = verb.peer.expect(m.PUBLISH, qos=2)
        verb.peer.send(m.pubrec(got.id, 0x97))
        verb.leaves()
        verb.ends(1)


@case(
    "no more are sent than the server's Receive Maximum, and PINGREQ all the same "
    "[MQTT-3.3.4-7] [MQTT-3.3.4-8] [MQTT-4.9.0-1] [MQTT-4.9.0-2] [MQTT-4.9.0-3]"
)
def _():
    told = {"receive_maximum": 2, "server_keep_alive": 1}
    for qos in (1, 2):
        with pub("-l", "-q", str(qos), text=lines(5), **told) as verb:
            under_way = [verb.peer.expect(m.PUBLISH) for _ in range(2)]
            if qos == 2:
                # PUBREC makes no room.
                verb.peer.send(m.pubrec(under_way[0].id))
                verb.peer.expect(m.PUBREL, id=under_way[0].id)
            verb.peer.expect(m.PINGREQ, timeout=5)
            verb.peer.send(m.pingresp())
            done = m.pubcomp if qos == 2 else m.puback
            verb.peer.send(done(under_way.pop(0).id))
            for number in range(2, 5):
                packet = verb.peer.expect(m.PUBLISH, payload=b"%d" % number)
                under_way.append(packet)
                first = under_way.pop(0)
                if qos == 2:
                    verb.peer.send(m.pubrec(first.id))
                    verb.peer.expect(m.PUBREL, id=first.id)
                verb.peer.send(done(first.id))
            if qos == 2:
                verb.peer.send(m.pubrec(under_way[0].id))
                verb.peer.expect(m.PUBREL)
            verb.peer.send(done(under_way[0].id))
            verb.leaves()
            verb.ends(0)


@case(
    "after DISCONNECT nothing is sent and the connection closed [MQTT-3.14.4-1] "
    "[MQTT-3.14.4-2]"
)
def _():
    with pub("-m", "x") as verb:
        verb.peer.expect(m.PUBLISH)
        verb.leaves()
        verb.ends(0)


# --------------------------------------------------------------- receiving


@case(
    "messages are acknowledged as their QoS wants, in their order "
    "[MQTT-4.5.0-2] [MQTT-4.6.0-2] [MQTT-4.6.0-3] [MQTT-3.3.4-1] [MQTT-2.2.1-5] "
    "[MQTT-4.3.2-4] [MQTT-4.3.3-8] [MQTT-3.4.2-1] [MQTT-3.5.2-1]"
)
def _():
    with Verb("sub", "-t", "a/#", "-q", "2", "-C", "9") as verb:
        packet = verb.subscribed(2)
        weir.expect(packet.filters == [("a/#", 2)], packet)
        verb.peer.send(
            *(m.publish("a/%d" % n, b"%d" % n, n % 3, n + 5 if n % 3 else None)
              for n in range(9))
        )
        for number in (1, 2, 4, 5, 7, 8):
            kind = m.PUBACK if number % 3 == 1 else m.PUBREC
            verb.peer.expect(kind, id=number + 5, reason=0)
        verb.leaves()
        weir.expect(verb.ends(0) == lines(9), "other messages")


@case(
    "QoS 2 is taken once until PUBREL, which PUBCOMP answers; then anew "
    "[MQTT-4.3.3-10] [MQTT-4.3.3-11] [MQTT-4.3.3-12] [MQTT-3.7.2-1]"
)
def _():
    with Verb("sub", "-t", "a", "-q", "2", "-C", "3") as verb:
        verb.subscribed(2)
        for dup in (False, True):
            verb.peer.send(m.publish("a", b"once", 2, 7, dup=dup))
            verb.peer.expect(m.PUBREC, id=7, reason=0)
        for reason in (0, None):
            verb.peer.send(m.pubrel(7))
            got = verb.peer.expect(m.PUBCOMP, id=7)
            weir.expect(reason is None or got.reason == reason, got)
        verb.peer.send(m.publish("a", b"new", 2, 7))
        verb.peer.expect(m.PUBREC, id=7)
        verb.peer.send(m.publish("a", b"last", 0))
        verb.leaves()
        weir.expect(verb.ends(0) == "once\nnew\nlast\n", "other messages")


@case("after PUBACK the identifier means a new message [MQTT-4.3.2-5]")
def _():
    with Verb("sub", "-t", "a", "-q", "1", "-C", "2") as verb:
        verb.subscribed(1)
        for dup in (False, True):
            verb.peer.send(m.publish("a", b"%d" % dup, 1, 7, dup=dup))
            verb.peer.expect(m.PUBACK, id=7)
        verb.leaves()
        weir.expect(verb.ends(0) == "0\n1\n", "other messages")


WRONG = [
    ("PUBREL with flags 0", m.raw(0x60, b"\0\1"), 0x81),
    ("[MQTT-3.14.1-1] DISCONNECT with flags", m.raw(0xE1), 0x81),
    ("[MQTT-3.15.1-1] AUTH with flags", m.raw(0xF1), 0x81),
    ("[MQTT-4.12.0-7] AUTH that was not begun", m.auth(0x18), 0x82),
    ("[MQTT-3.3.1-4] QoS 3", m.publish("a", b"", 3, 1), 0x81),
    ("[MQTT-3.3.2-2] a wildcard in a topic name", m.publish("a/+"), 0x90),
    ("[MQTT-1.5.4-1] a topic name of no UTF-8", m.publish(b"\xff"), 0x81),
    ("[MQTT-1.5.4-2] U+0000 in a topic name", m.publish("\0"), 0x81),
    ("[MQTT-1.5.5-1] a length longer than need be", b"\xd0\x80\0", 0x81),
    ("a topic alias, of which it allows none", m.publish("a", props={"topic_alias": 1}), 0x94),
    ("[MQTT-3.3.2-8] topic alias 0", m.publish("a", props={"topic_alias": 0}), 0x94),
    ("a second CONNACK", m.connack(), 0x82),
    ("SUBSCRIBE of a server", m.subscribe(1, ("a", 0)), 0x82),
    (
        "[MQTT-3.14.2-2] Session Expiry Interval in the server's DISCONNECT",
        m.disconnect(0, {"session_expiry_interval": 1}),
        0x82,
    ),
]


def wrong(tap):
    for name, data, reason in WRONG:
        with tap.case(name + ", to a client"):
            with Verb("sub", "-t", "a") as verb:
                verb.subscribed(0)
                verb.peer.send(data)
                verb.peer.connack = True
                verb.peer.closed(reason)
                verb.ends(1)


def main():
    tap = weir.Tap(120)
    case.run(tap)
    wrong(tap)
    tap.done()


if __name__ == "__main__":
    main()
