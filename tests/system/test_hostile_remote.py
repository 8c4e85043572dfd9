#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""Remotes that lie, babble and stall: they harm their own bridge at most."""

import struct
import time

import scripted
import weir


def ack(kind, packet_id, reason=b""):
    return weir.packet(kind, 2 if kind == weir.PUBREL else 0,
                       struct.pack(">H", packet_id) + reason)


# name, bytes instead of a CONNACK
BEFORE = [
    ("a reserved flag", b"\x20\x03\x02\0\0"),
    ("an unknown reason", b"\x20\x03\0\x03\0"),
    ("a body of one byte", b"\x20\x01\0"),
    ("a body of nothing", b"\x20\0"),
    ("properties cut short", b"\x20\x04\0\0\x05\x21"),
    ("more properties than bytes", b"\x20\x03\0\0\xff"),
    ("Receive Maximum 0", b"\x20\x06\0\0\x03\x21\0\0"),
    ("a property twice", b"\x20\x09\0\0\x06\x21\0\x05\x21\0\x05"),
    ("Session Present with an error", b"\x20\x03\x01\x87\0"),
    ("PUBLISH before CONNACK", b"\x30\x05\0\x01ax\0"),
    ("SUBACK before CONNACK", b"\x90\x04\xff\xff\0\0"),
    ("PUBACK before CONNACK", b"\x40\x02\0\x01"),
    ("a length of five bytes", b"\x20\xff\xff\xff\xff\x01"),
    ("256 MiB announced", b"\x20\xff\xff\xff\x7f"),
    ("noise", bytes(range(256))),
    ("zeros", b"\0" * 4096),
]

# name, bytes after a good CONNACK and the SUBSCRIBE
AFTER = [
    ("a second CONNACK", scripted.connack()),
    ("SUBACK without codes", b"\x90\x03\xff\xff\0"),
    ("SUBACK with two codes", b"\x90\x05\xff\xff\0\0\0"),
    ("SUBACK of another identifier", b"\x90\x04\0\x01\0\0"),
    ("SUBACK with an unknown code", b"\x90\x04\xff\xff\0\x42"),
    ("UNSUBACK that nobody asked for", b"\xb0\x04\xff\xff\0\0"),
    ("PUBACK of identifier 0", b"\x40\x02\0\0"),
    ("PUBLISH of QoS 3", b"\x36\x07\0\x01a\0\x01\0x"),
    ("PUBLISH of identifier 0", b"\x32\x06\0\x01a\0\0\0"),
    ("PUBLISH to a wildcard", b"\x30\x05\0\x01#\0x"),
    ("PUBLISH to nothing", b"\x30\x04\0\0\0x"),
    ("PUBLISH to half a topic", b"\x30\x03\0\x09a"),
    ("PUBLISH to no UTF-8", b"\x30\x05\0\x01\xff\0x"),
    ("topic alias 0", b"\x30\x08\0\x01a\x03\x23\0\0x"),
    ("topic alias above the maximum", b"\x30\x08\0\x01a\x03\x23\xff\xffx"),
    ("an alias that stands for nothing", b"\x30\x07\0\0\x03\x23\0\x01x"),
    ("a property that is none", b"\x30\x06\0\x01a\x01\x7fx"),
    ("30,000 user properties cut short",
     b"\x30" + weir.mqtt_length(150006) + b"\0\x01a" + weir.mqtt_length(150001)
     + b"\x26\0\0\0\0" * 30000 + b"\x26"),
    ("256 MiB announced", b"\x30\xff\xff\xff\x7f"),
    ("a length of five bytes", b"\x30\xff\xff\xff\xff\x01"),
    ("CONNECT", b"\x10\x02\0\0"),
    ("PINGREQ", b"\xc0\0"),
    ("AUTH", b"\xf0\x02\x18\0"),
    ("DISCONNECT with bad properties", b"\xe0\x04\0\x02\x7f\0"),
    ("packet type 0", b"\0\0"),
]


def bridges(port, other):
    rules = {
        "forward": [{"filter": "out/#", "qos": 1}],
        "receive": [{"filter": "in/#", "qos": 1}],
        "retry_min": "1ms",
        "retry_max": "20ms",
        "retry_waiting": "20ms",
        "connect_timeout": "1s",
    }
    well = {
        "name": "well",
        "url": "mqtt://127.0.0.1:%d" % other,
        "forward": [{"filter": "well/#", "qos": 1}],
    }
    return [dict(rules, name="cloud", url="mqtt://127.0.0.1:%d" % port), well]


class Attacks:
    """Each connection is one attack; after the last it behaves."""

    def __init__(self, attacks, attack):
        self.attacks = attacks
        self.attack = attack
        self.done = 0
        self.survived = []
        self.book = scripted.Book()

    def __call__(self, peer, _number):
        if self.done >= len(self.attacks):
            self.book(peer)
        name, data = self.attacks[self.done]
        peer.read_connect()
        self.attack(peer, data)
        if not peer.is_closed(5):
            self.survived.append(name)
        self.done += 1


def instead_of_connack(peer, data):
    peer.send(data)


def once_connected(peer, data):
    peer.send(scripted.connack())
    while peer.read()[0] != weir.SUBSCRIBE:
        pass
    if data[0] >> 4 != weir.SUBACK:
        peer.send(b"\x90\x04\xff\xff\0\x01")
    peer.send(data)


def is_sanitized(pid):
    """A sanitizer keeps what is freed, and reserves terabytes."""
    with open("/proc/%d/status" % pid) as f:
        size = next(line.split()[1] for line in f if line.startswith("VmSize:"))
    return int(size) > 1 << 30


def is_unharmed(suite, pids, received, text):
    """The broker, httpd and the other bridge go on as if there was nothing."""
    weir.expect(
        pids == (suite.pid("weir-broker"), suite.pid("weir-bridged", "well")),
        "a program was started again",
    )
    weir.expect(suite.publish("well/a", text) == 200, "status")
    weir.wait_for(
        "the other bridge goes on",
        lambda: text.encode() in [m.payload for m in received.messages],
    )


def attacks(tap, name, list_of, attack):
    script = Attacks(list_of, attack)
    other = scripted.Book()
    with scripted.Remote(script) as remote, scripted.Remote(other) as good, weir.Weir(
        bridges=bridges(remote.port, good.port)
    ) as suite:
        pids = (suite.pid("weir-broker"), suite.pid("weir-bridged", "well"))
        bridged = suite.pid("weir-bridged", "cloud")
        weir.expect(suite.publish("out/a", "kept") == 200, "status")
        with tap.case("%s: each of %d ends the connection" % (name, len(list_of))):
            weir.wait_for("all were tried", lambda: script.done >= len(list_of), 120)
            weir.expect(not script.survived, script.survived)
        with tap.case(name + ": the process lives, and says why each time"):
            weir.expect(suite.pid("weir-bridged", "cloud") == bridged, "it died")

            def lines():
                return [
                    line for line in suite.lines("bridge_disconnected")
                    if "bridge=cloud" in line
                ]

            weir.wait_for("a line each", lambda: len(lines()) >= len(list_of))
            weir.expect(all("reason=" in line for line in lines()), lines())
        with tap.case(name + ": then the message goes through, once it behaves"):
            weir.wait_for("it arrives", lambda: script.book.messages)
            weir.expect(script.book.messages[-1].payload == b"kept", "payload")
        with tap.case(name + ": nobody else was harmed"):
            is_unharmed(suite, pids, other, name)


def floods(tap):
    """Packets that are allowed, or nearly, without end."""
    stop_at = {"bytes": 0}

    def babble(data):
        def script(peer, number):
            peer.read_connect()
            peer.send(scripted.connack())
            end = time.monotonic() + 2
            while time.monotonic() < end:
                peer.send(data)
                stop_at["bytes"] += len(data)

        return script

    unknown = b"".join(
        ack(kind, packet_id)
        for packet_id in range(1, 2000)
        for kind in (weir.PUBACK, weir.PUBREC, weir.PUBREL, weir.PUBCOMP)
    )
    unwanted = weir.packet(weir.PUBLISH, 0, b"\0\x03no/\0" + b"x" * 1000) * 100
    wanted = weir.packet(weir.PUBLISH, 0, b"\0\x04in/a\0" + b"x" * 1000) * 100
    cases = (
        ("acknowledgements of what was never sent", unknown),
        ("messages that nobody asked for", unwanted),
        ("messages of QoS 0 without end", wanted),
        ("PINGRESP without end", b"\xd0\0" * 5000),
    )
    for name, data in cases:
        other = scripted.Book()
        calm = scripted.Book()
        babbler = babble(data)

        def script(peer, number):
            (babbler if number == 1 else calm)(peer, number)

        with scripted.Remote(script) as remote, scripted.Remote(other) as good, weir.Weir(
            bridges=bridges(remote.port, good.port)
        ) as suite:
            bridged = suite.pid("weir-bridged", "cloud")
            pids = (suite.pid("weir-broker"), suite.pid("weir-bridged", "well"))
            weir.wait_for("it connects", lambda: remote.count >= 1)
            before = weir.resident_kib(bridged)
            with tap.case(name + ": nobody else is harmed"):
                is_unharmed(suite, pids, other, "during")
            with tap.case(name + ": memory stays, and it recovers"):
                weir.wait_for("it is over", lambda: remote.count >= 2)
                after = weir.resident_kib(bridged)
                weir.expect(suite.pid("weir-bridged", "cloud") == bridged, "it died")
                weir.expect(suite.publish("out/a", "after") == 200, "status")
                weir.wait_for("it arrives", lambda: calm.messages)
                tap.note("%s: %d KiB, then %d KiB" % (name, before, after))
                if not is_sanitized(bridged):
                    weir.expect(after < before + 32768, "%d KiB" % after)


def slow(tap):
    """CONNACK byte by byte, or never: connect_timeout ends it."""
    book = scripted.Book()
    waits = []

    def script(peer, number):
        if number > 2:
            book(peer)
        peer.read_connect()
        began = time.monotonic()
        if number == 1:
            peer.is_closed(10)
        else:
            for byte in weir.packet(weir.CONNACK, 0, b"\0\0" + b"\x7f" * 40):
                peer.send(bytes([byte]))
                if peer.is_closed(0.1):
                    break
        waits.append(time.monotonic() - began)

    other = scripted.Book()
    with scripted.Remote(script) as remote, scripted.Remote(other) as good, weir.Weir(
        bridges=bridges(remote.port, good.port)
    ) as suite:
        with tap.case("a CONNACK that does not come, or trickles, is not waited for"):
            suite.publish("out/a", "kept")
            weir.wait_for("it arrives", lambda: book.messages)
            tap.note("given up after %s s" % ["%.2f" % w for w in waits])
            weir.expect(all(wait < 4 for wait in waits), waits)


def main():
    tap = weir.Tap()
    for name, group, arguments in (
        ("instead of CONNACK", attacks, [BEFORE, instead_of_connack]),
        ("after CONNACK", attacks, [AFTER, once_connected]),
        ("floods", floods, None),
        ("slow", slow, None),
    ):
        with tap.case(name + ": the suite starts, and ends in order"):
            if arguments is None:
                group(tap)
            else:
                group(tap, name, *arguments)
    tap.done()


if __name__ == "__main__":
    main()
