#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""MQTT 3.1, the version before the standard: MQIsdp, level 3.

What its clients rely on, and where it differs from 3.1.1: an identifier is
always given, of 1 to 23 characters by the letter of 3.1 and of any length
here; there is no Session Present, no failure in SUBACK that a client would
look for, and an empty identifier is refused.
"""

import os

import mqtt_raw as m
import weir

V = 3


def main():
    tap = weir.Tap(60)
    durability = os.environ.get("WEIR_DURABILITY", "process")
    with tap.case("the suite ends in order"), weir.Weir(
        http=None, durability=durability
    ) as suite:

        def client(name, version=V, **more):
            return m.Client(suite.port, name, version, **more)

        with tap.case("it connects, and CONNACK has a 0 for each thing it has not"):
            one = client("one")
            weir.expect(one.connack.body == b"\0\0", one.connack.body)
        with tap.case("its name and its level go together"):
            for name, level, code in (("MQIsdp", 4, 1), ("MQTT", 3, 1), ("MQIsdp", 5, 1)):
                other = m.Client(suite.port, version=V, connect=False)
                body = m.string(name) + bytes([level, 2, 0, 60]) + m.string("x")
                other.send(m.raw(0x10, body))
                other.expect(m.CONNACK, reason=code)
                other.closed()
        with tap.case("an empty identifier is refused, 0x02, with any Clean Session"):
            for clean in (True, False):
                other = m.Client(suite.port, version=V, connect=False)
                other.send(m.connect("", V, clean=clean))
                other.expect(m.CONNACK, reason=2)
                other.closed()
        with tap.case("identifiers of 23 characters, and of more"):
            for name in ("x" * 23, "x" * 24, "x" * 200):
                client(name).end()
        with tap.case("all qualities of service, both ways, with 3.1.1 and 5.0"):
            for version in (3, 4, 5):
                other = client("with-%d" % version, version)
                for qos in (0, 1, 2):
                    weir.expect(other.subscribe("to/%d" % version, qos) == qos, qos)
                    one.publish("to/%d" % version, b"x", qos)
                    other.receive("to/%d" % version, b"x", qos=qos)
                    weir.expect(one.subscribe("back", qos) == qos, qos)
                    other.publish("back", b"y", qos)
                    one.receive("back", b"y", qos=qos)
                other.end()
        with tap.case("PUBREL, SUBSCRIBE and UNSUBSCRIBE may not have other flags"):
            # 3.1 knows DUP and QoS there; its clients send QoS 1 alone.
            for first in (0x6A, 0x8A, 0xAA):
                other = client("flags")
                other.send(m.raw(first, b"\0\1" + m.string("a") + b"\0"))
                other.closed()
        with tap.case("a retained message, a Will, a wildcard"):
            will = m.Will("away/one", b"gone", 1, True)
            other = client("dying", will=will)
            reader = client("reader")
            reader.subscribe("away/+", 1)
            other.cut()
            reader.receive("away/one", b"gone", retain=False)
            later = client("later")
            later.subscribe("away/#", 1)
            later.receive("away/one", b"gone", retain=True)
            later.unsubscribe("away/#")
            later.publish("away/one", b"", 1, retain=True)
            later.nothing()
        with tap.case("a session without Clean Session is kept, with its messages"):
            kept = client("kept", clean=False)
            kept.subscribe("kept/t", 2)
            kept.end()
            one.publish("kept/t", b"1", 1)
            one.publish("kept/t", b"2", 2)
            kept = client("kept", clean=False)
            weir.expect(not kept.connack.body[0], "Session Present in MQTT 3.1")
            kept.receive("kept/t", b"1", qos=1)
            kept.receive("kept/t", b"2", qos=2)
            kept.cut()
        with tap.case("a client of 3.1 and one of 3.1.1 are one by their identifier"):
            newer = client("kept", 4, clean=False)
            weir.expect(newer.connack.session_present, "no session")
            newer.end()
            client("kept").end()
        with tap.case("a shared subscription is for it, too"):
            pair = [client("share-%d" % number) for number in range(2)]
            for member in pair:
                member.subscribe("$share/g/work", 1)
            for _ in range(10):
                one.publish("work", b"x", 1)
            got = 0
            for member in pair:
                member.send(m.pingreq())
                while True:
                    packet = member.read()
                    if packet.kind == m.PINGRESP:
                        break
                    member.acknowledge(packet)
                    got += 1
            weir.expect(got == 10, "%d of 10" % got)
        with tap.case("AUTH, and a password without a user, are no part of it"):
            other = client("auth")
            other.send(m.raw(0xF0))
            other.closed()
            other = m.Client(suite.port, version=V, connect=False)
            other.send(m.connect("x", V, password="p", flags=0x42))
            other.closed()
    tap.done()


if __name__ == "__main__":
    main()
