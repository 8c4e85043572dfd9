#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""The statements of MQTT 3.1.1 that bind a client, shown of weir-bridged.

A remote of raw packets: each that a bridge sends is read by the strict parser
of mqtt_raw, and answered when the test says so.
"""

import os
import queue
import socket
import threading
import time

import mqtt_raw as m
import weir

V = 4
UNTIL = 20


class Remote:
    """Listens; gives its connections out one by one, CONNECT read."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(UNTIL)
        self.port = self.listener.getsockname()[1]

    def accept(self, session_present=False):
        """(connection, its CONNECT); CONNACK 0 was sent."""
        sock, _ = self.listener.accept()
        peer = Peer(sock=sock, version=V, connect=False, timeout=UNTIL)
        connect = peer.expect(m.CONNECT)
        peer.send(m.connack(0, session_present, version=V))
        return peer, connect


class Peer(m.Client):
    """The server's side of a connection."""

    def next(self):
        """The next packet that is not answered by itself."""
        while True:
            packet = self.read()
            weir.expect(packet is not None, "nothing came")
            if packet.kind == m.PINGREQ:
                self.send(m.pingresp())
            elif packet.kind == m.SUBSCRIBE:
                answer = m.suback(packet.id, *(q for _, q in packet.filters), version=V)
                self.send(answer)
                self.filters = packet.filters
            else:
                return packet

    def want(self, kind, **fields):
        packet = self.next()
        good = packet.kind == kind and all(
            getattr(packet, name) == value for name, value in fields.items()
        )
        weir.expect(good, "%r, not %s %r" % (packet, m.NAMES[kind], fields))
        return packet


def bridge(port, **more):
    settings = {
        "name": "cloud",
        "url": "mqtt://127.0.0.1:%d" % port,
        "protocol": "3.1.1",
        "announce_bridge": False,
        "client_id": "weir-there",
        "username": "u",
        "password": "p\u00e4ss",
        "keepalive": "1s",
        "notifications": "remote",
        "notification_topic": "state/weir",
        "forward": [{"filter": "out/%d/#" % qos, "qos": qos} for qos in (0, 1, 2)],
        "receive": [{"filter": "in/#", "qos": 2}],
        "retry_min": "20ms",
        "retry_max": "100ms",
        "session_expiry": "1h",
    }
    settings.update(more)
    return settings


def begins(tap, remote):
    with tap.case(
        "[MQTT3-3.1.0-1] [MQTT3-3.1.3-1] [MQTT3-3.1.3-3] [MQTT3-3.1.3-4] "
        "[MQTT3-7.1.2-1] CONNECT comes first, by TCP, and names the client"
    ):
        peer, connect = remote.accept()
        weir.expect(connect.name == "MQTT" and connect.version == V, connect)
        weir.expect(connect.client_id == "weir-there", connect)
        weir.expect(not connect.clean, "Clean Session")
    with tap.case(
        "[MQTT3-3.1.2-19] [MQTT3-3.1.2-21] [MQTT3-3.1.3-11] user name and password "
        "are there with their flags"
    ):
        weir.expect(connect.username == "u", connect)
        weir.expect(connect.password == "p\u00e4ss".encode(), connect)
    with tap.case(
        "[MQTT3-3.1.2-9] [MQTT3-3.1.2-14] [MQTT3-3.1.3-10] the Will is there with its "
        "flag"
    ):
        weir.expect(connect.will is not None, "no Will")
        weir.expect(connect.will.topic == "state/weir", connect.will.topic)
        weir.expect(connect.will.payload == b"0" and connect.will.retain, "another")
        weir.expect(connect.will.qos in (0, 1, 2), connect.will.qos)
    with tap.case("its state is published, retained"):
        packet = peer.want(m.PUBLISH, topic="state/weir", payload=b"1", retain=True)
        if packet.qos:
            peer.acknowledge(packet)
    with tap.case(
        "[MQTT3-3.8.3-1] [MQTT3-3.8.3-3] [MQTT3-2.3.1-1] SUBSCRIBE has its filters and "
        "an identifier"
    ):
        # It may come before or behind the state: next() answers it.
        peer.send(m.publish("in/first", b"x", 0, version=V))
        weir.wait_for("SUBSCRIBE", lambda: look(peer))
        weir.expect(peer.filters == [("in/#", 2)], peer.filters)
    return peer


def look(peer):
    """Read what is there; did a SUBSCRIBE come?"""
    packet = peer.read(0.05)
    if packet is not None and packet.kind == m.SUBSCRIBE:
        peer.filters = packet.filters
        peer.send(m.suback(packet.id, *(q for _, q in packet.filters), version=V))
    elif packet is not None:
        weir.expect(packet.kind == m.PINGREQ, packet)
        peer.send(m.pingresp())
    return hasattr(peer, "filters")


def pings(tap, peer):
    with tap.case("[MQTT3-3.1.2-23] PINGREQ comes within the Keep Alive"):
        started = time.monotonic()
        packet = peer.read(UNTIL)
        weir.expect(packet is not None and packet.kind == m.PINGREQ, packet)
        peer.send(m.pingresp())
        tap.note("after %.2f s of silence" % (time.monotonic() - started))


def sends(tap, suite, remote, peer):
    local = m.Client(suite.port, "local", 5)
    with tap.case(
        "[MQTT3-2.3.1-1] [MQTT3-2.3.1-2] [MQTT3-3.3.2-1] [MQTT3-3.3.2-2] each PUBLISH "
        "has an identifier of its own and a name without wildcards, DUP 0"
    ):
        qualities = [1 + number % 2 for number in range(6)]
        for number, qos in enumerate(qualities):
            local.publish("out/%d/%d" % (qos, number), b"%d" % number, qos)
        sent = [
            peer.want(m.PUBLISH, topic="out/%d/%d" % (qos, n), qos=qos, dup=False)
            for n, qos in enumerate(qualities)
        ]
        weir.expect(len({p.id for p in sent}) == 6, [p.id for p in sent])
    with tap.case(
        "[MQTT3-4.4.0-1] [MQTT3-3.3.1-1] [MQTT3-2.3.1-3] [MQTT3-4.6.0-1] after a "
        "reconnect they come again, in order, with DUP and their identifiers"
    ):
        peer.cut()
        peer, _ = remote.accept(session_present=True)
        seen = [p for p in (peer.next() for _ in range(7)) if p.topic != "state/weir"]
        got = [(p.topic, p.qos, p.id, p.dup) for p in seen]
        want = [(p.topic, p.qos, p.id, True) for p in sent]
        weir.expect(got == want, (got, want))
    with tap.case(
        "[MQTT3-4.3.2-1] [MQTT3-4.3.3-1] [MQTT3-4.6.0-4] [MQTT3-2.3.1-6] PUBREL in the "
        "order of PUBREC, with its identifier"
    ):
        seconds = [p.id for p in sent if p.qos == 2]
        peer.send(*(m.pubrec(number) for number in seconds))
        for number in seconds:
            peer.want(m.PUBREL, id=number)
    with tap.case("[MQTT3-4.4.0-1] PUBREL comes again after a reconnect"):
        peer.cut()
        peer, _ = remote.accept(session_present=True)
        packets = [peer.next() for _ in range(7)]
        again = [p.id for p in packets if p.kind == m.PUBREL]
        weir.expect(again == seconds, (again, seconds))
        for packet in packets:
            if packet.kind == m.PUBREL:
                peer.send(m.pubcomp(packet.id))
            elif packet.qos == 1:
                peer.send(m.puback(packet.id))
    with tap.case("[MQTT3-4.3.1-1] [MQTT3-2.3.1-5] QoS 0 has no identifier, and DUP 0"):
        local.publish("out/0/zero", b"zero", 0)
        packet = peer.want(m.PUBLISH, topic="out/0/zero", dup=False, qos=0)
        weir.expect(packet.body == m.string("out/0/zero") + b"zero", packet.body)
    local.end()
    return peer


def receives(tap, suite, peer):
    local = m.Client(suite.port, "reader", 5)
    local.subscribe("in/#", 2)
    with tap.case(
        "[MQTT3-4.5.0-2] [MQTT3-4.6.0-2] [MQTT3-4.6.0-3] [MQTT3-4.3.2-2] each PUBLISH "
        "is answered as its QoS wants, in order"
    ):
        numbers = range(1, 21)
        for number in numbers:
            qos = 1 + number % 2
            peer.send(m.publish("in/%d" % number, b"x", qos, number, version=V))
        acks = [peer.next() for _ in numbers]
        firsts = [p.id for p in acks if p.kind == m.PUBACK]
        seconds = [p.id for p in acks if p.kind == m.PUBREC]
        weir.expect(firsts == [n for n in numbers if n % 2 == 0], firsts)
        weir.expect(seconds == [n for n in numbers if n % 2 == 1], seconds)
    with tap.case(
        "[MQTT3-4.3.3-2] a QoS 2 message that comes again is passed on once; PUBREL is "
        "completed"
    ):
        peer.send(m.publish("in/1", b"x", 2, 1, dup=True, version=V))
        peer.want(m.PUBREC, id=1)
        for number in seconds:
            peer.send(m.pubrel(number))
            peer.want(m.PUBCOMP, id=number)
        got, open_handshakes = [], 0
        while len(got) < 20 or open_handshakes:
            packet = local.read()
            weir.expect(packet is not None, "%d came" % len(got))
            if packet.kind == m.PUBREL:
                local.send(m.pubcomp(packet.id))
                open_handshakes -= 1
                continue
            got.append(packet.topic)
            open_handshakes += packet.qos == 2
            answer = m.pubrec if packet.qos == 2 else m.puback
            local.send(answer(packet.id))
        weir.expect(sorted(got) == sorted("in/%d" % n for n in numbers), got)
        local.nothing()
    local.end()


def refuses(tap, remote, peer):
    with tap.case(
        "[MQTT3-7.0.0-1] [MQTT3-4.8.0-1] what a server may not send ends the connection"
    ):
        for name, data in (
            ("QoS 3", m.raw(0x36, m.string("in/x") + b"\0\1")),
            ("a wildcard", m.publish("in/#", b"", version=V)),
            ("flags of PUBACK", m.raw(0x43, b"\0\1")),
            ("no UTF-8", m.publish(b"in/\xff", b"", version=V)),
        ):
            peer.send(data)
            try:
                while True:
                    packet = peer.next()
                    weir.expect(packet.kind == m.PUBLISH, (name, packet))
            except m.Closed:
                pass
            peer, _ = remote.accept(session_present=True)
    return peer


def ends(tap, suite, peer):
    with tap.case(
        "[MQTT3-3.14.4-1] [MQTT3-3.14.4-2] DISCONNECT is the last packet, and the "
        "client closes"
    ):
        done = queue.Queue()
        threading.Thread(target=lambda: done.put(suite.shut_down())).start()
        while True:
            packet = peer.next()
            if packet.kind == m.DISCONNECT:
                break
            weir.expect(packet.kind == m.PUBLISH, packet)
            if packet.qos:
                peer.send(m.puback(packet.id))
        try:
            packet = peer.read()
        except m.Closed:
            packet = None
        weir.expect(packet is None, packet)
        weir.expect(done.get(timeout=UNTIL) == 0, "its exit status")


def plain(tap):
    """No user, no Will, and as a bridge by the highest bit of the level."""
    remote = Remote()
    more = dict(username=None, password=None, notifications="none")
    settings = {
        k: v for k, v in bridge(remote.port, **more).items() if v is not None
    }
    del settings["notification_topic"]
    settings["announce_bridge"] = True
    with weir.Weir(http=None, durability="process", bridges=[settings]):
        with tap.case(
            "[MQTT3-3.1.2-11] [MQTT3-3.1.2-13] [MQTT3-3.1.2-15] [MQTT3-3.1.2-18] "
            "[MQTT3-3.1.2-20] [MQTT3-3.1.2-22] what is not there has no flag"
        ):
            _, connect = remote.accept()
            weir.expect(connect.version == 0x84, connect.version)
            weir.expect(connect.will is None, "a Will")
            weir.expect(connect.username is None and connect.password is None, "a user")
            want = m.string("MQTT") + b"\x84\0\0\1" + m.string("weir-there")
            weir.expect(connect.body == want, connect.body)


def main():
    tap = weir.Tap(120)
    durability = os.environ.get("WEIR_DURABILITY", "process")
    remote = Remote()
    with tap.case("the suite ends in order"), weir.Weir(
        http=None, durability=durability, bridges=[bridge(remote.port)], wait=False
    ) as suite:
        peer = begins(tap, remote)
        suite.wait_ready()
        pings(tap, peer)
        peer = sends(tap, suite, remote, peer)
        receives(tap, suite, peer)
        peer = refuses(tap, remote, peer)
        suite.expect_exit = None
        ends(tap, suite, peer)
    plain(tap)
    tap.done()


if __name__ == "__main__":
    main()
