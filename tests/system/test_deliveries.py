#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""What a subscriber gets: once, as it asked, again when it was away.

Run with one worker and with several: there the messages go by mail.
"""

import struct
import time

import weir

KEEP = b"\x11" + struct.pack(">I", 600)  # Session Expiry Interval
NO_LOCAL, AS_PUBLISHED = 0x04, 0x08


def subscribe(client, topic_filter, options, identifier=None):
    """Subscribe with the options byte of MQTT 5.0."""
    properties = b"" if identifier is None else bytes([0x0B, identifier])
    body = struct.pack(">H", client.new_id())
    body += bytes([len(properties)]) + properties
    body += weir.mqtt_string(topic_filter) + bytes([options])
    client.send(weir.packet(weir.SUBSCRIBE, 2, body))
    client.expect(weir.SUBACK)


def publish_with(client, topic, payload, properties):
    """Publish at QoS 1 with properties, and wait for the PUBACK."""
    body = weir.mqtt_string(topic) + struct.pack(">H", client.new_id())
    body += bytes([len(properties)]) + properties + payload.encode()
    client.send(weir.packet(weir.PUBLISH, 2, body))
    client.expect(weir.PUBACK)


def properties_of(body):
    """The property bytes of a QoS 1 PUBLISH, shorter than 128."""
    at = 2 + struct.unpack_from(">H", body)[0] + 2
    return body[at + 1 : at + 1 + body[at]]


def next_message(client):
    """The next PUBLISH, not acknowledged."""
    kind, flags, body = client.read()
    weir.expect(kind == weir.PUBLISH, "packet type %d" % kind)
    return weir.Message(flags, body, client.version)


def payloads(messages):
    return [m.payload.decode() for m in messages]


def away_and_back(tap, run):
    sender = run.mqtt("away-sender")
    with tap.case("unacknowledged messages come again, marked, in order"):
        client = run.mqtt("away-1", clean=False)
        client.subscribe("away/1", 1)
        for text in "abc":
            sender.publish("away/1", text, 1)
        first = [next_message(client) for _ in range(3)]
        weir.expect(not any(m.dup for m in first), "DUP at the first time")
        # Gone for the broker too, or the next one is sent to it at once.
        client.send(weir.packet(weir.DISCONNECT))
        weir.expect(client.is_closed(10), "not closed after DISCONNECT")
        client.close()
        sender.publish("away/1", "d", 1)
        client = run.mqtt("away-1", clean=False)
        again = [next_message(client) for _ in range(4)]
        weir.expect(payloads(again) == list("abcd"), payloads(again))
        weir.expect(
            [m.dup for m in again] == [True] * 3 + [False],
            "[MQTT-3.3.1-1] DUP %r" % [m.dup for m in again],
        )
        weir.expect(
            [m.id for m in again[:3]] == [m.id for m in first],
            "[MQTT-4.4.0-1] other packet identifiers",
        )
        client.close()
    with tap.case("after PUBREC the PUBREL comes again, and no PUBLISH"):
        client = run.mqtt("away-2", clean=False)
        client.subscribe("away/2", 2)
        sender.publish("away/2", "x", 2)
        message = next_message(client)
        packet_id = struct.pack(">H", message.id)
        client.send(weir.packet(weir.PUBREC, 0, packet_id))
        weir.expect(client.expect(weir.PUBREL) == packet_id, "another id")
        client.close()
        client = run.mqtt("away-2", clean=False)
        weir.expect(client.expect(weir.PUBREL) == packet_id, "another id")
        client.send(weir.packet(weir.PUBCOMP, 0, packet_id))
        client.ping()
        client.close()
    sender.close()


def limits(tap, run):
    sender = run.mqtt("limits-sender", version=5)
    with tap.case("what exceeds the client's Maximum Packet Size is left out"):
        properties = b"\x27" + struct.pack(">I", 60)
        client = run.mqtt("limits-small", version=5, properties=properties)
        client.subscribe("limits/size", 1)
        # 2 header, 2 + 11 topic, 2 packet identifier, 1 properties: 18.
        sender.publish("limits/size", "l" * 43, 1)
        sender.publish("limits/size", "f" * 42, 1)
        message = next_message(client)
        weir.expect(message.payload == b"f" * 42, message.payload)
        client.close()
    with tap.case("no more are in flight than Receive Maximum, the rest in order"):
        client = run.mqtt("limits-two", version=5, properties=b"\x21\0\2")
        client.subscribe("limits/two", 1)
        for text in "abcd":
            sender.publish("limits/two", text, 1)
        got = [next_message(client), next_message(client)]
        weir.expect(client.is_silent(0.3), "[MQTT-3.3.4-9] a third")
        for i in range(2):
            answer = weir.packet(weir.PUBACK, 0, struct.pack(">H", got[i].id))
            client.send(answer)
            got.append(next_message(client))
        weir.expect(payloads(got) == list("abcd"), payloads(got))
        client.close()
    with tap.case("an expired message is not delivered, others say what is left"):
        client = run.mqtt("limits-late", version=5, clean=False, properties=KEEP)
        client.subscribe("limits/late", 1)
        client.close()
        publish_with(sender, "limits/late", "short", b"\x02" + struct.pack(">I", 1))
        publish_with(sender, "limits/late", "long", b"\x02" + struct.pack(">I", 99))
        time.sleep(1.1)
        client = run.mqtt("limits-late", version=5, clean=False, properties=KEEP)
        kind, flags, body = client.read()
        message = weir.Message(flags, body, 5)
        weir.expect(message.payload == b"long", message.payload)
        found = properties_of(body)
        weir.expect(len(found) == 5 and found[0] == 2, found)
        left = struct.unpack(">I", found[1:])[0]
        weir.expect(90 <= left <= 98, "[MQTT-3.3.2-6] %d s left" % left)
        client.close()
    sender.close()


def options(tap, run):
    sender = run.mqtt("options-sender", version=5)
    with tap.case("each version and QoS gets its own form of one message"):
        clients = [
            (run.mqtt("options-%d-%d" % (v, q), version=v), v, q)
            for v in (4, 5)
            for q in (0, 1, 2)
        ]
        for client, _, qos in clients:
            client.subscribe("options/form", qos)
        for text in ("one", "two"):
            sender.publish("options/form", text, 1)
        for client, version, qos in clients:
            got = [next_message(client) for _ in range(2)]
            weir.expect(payloads(got) == ["one", "two"], payloads(got))
            # [MQTT-3.8.4-8] the lower of published and granted
            weir.expect(all(m.qos == min(qos, 1) for m in got), (version, qos))
            client.close()
    with tap.case("a subscriber of several filters gets one, with the highest QoS"):
        client = run.mqtt("options-overlap", version=5)
        subscribe(client, "options/+", 0, identifier=1)
        subscribe(client, "options/both", 1, identifier=2)
        subscribe(client, "#", 0, identifier=3)
        sender.publish("options/both", "once", 1)
        kind, flags, body = client.read()
        message = weir.Message(flags, body, 5)
        weir.expect(message.qos == 1, "QoS %d" % message.qos)
        found = properties_of(body)
        weir.expect(
            sorted(zip(found[::2], found[1::2])) == [(11, 1), (11, 2), (11, 3)],
            "[MQTT-3.3.4-3] %r" % found,
        )
        weir.expect(client.is_silent(0.3), "it came twice")
        client.close()
    with tap.case("identifiers are those of the subscriber's own filters"):
        clients = []
        for number in (5, 6, 7):
            client = run.mqtt("options-own-%d" % number, version=5)
            subscribe(client, "options/own", 1, identifier=number)
            clients.append((client, number))
        sender.publish("options/own", "x", 1)
        for client, number in clients:
            found = properties_of(client.read()[2])
            weir.expect(found == bytes([11, number]), "%r" % found)
            client.close()
    with tap.case("No Local keeps a client's own messages from it"):
        client = run.mqtt("options-local", version=5)
        subscribe(client, "options/local", 0 | NO_LOCAL)
        client.publish("options/local", "mine", 1)
        sender.publish("options/local", "another's", 1)
        weir.expect(next_message(client).payload == b"another's", "its own")
        client.close()
    with tap.case("RETAIN is kept for those who asked for it as published"):
        kept, plain = (run.mqtt("options-r%d" % i, version=5) for i in (1, 2))
        subscribe(kept, "options/retain", 0 | AS_PUBLISHED)
        subscribe(plain, "options/retain", 0)
        sender.publish("options/retain", "x", 1, retain=True)
        weir.expect(next_message(kept).retain, "[MQTT-3.3.1-13]")
        weir.expect(not next_message(plain).retain, "[MQTT-3.3.1-12]")
        kept.close()
        plain.close()
    sender.close()


def many(tap, run):
    with tap.case("two hundred receivers of one topic all get all, in order"):
        clients = [run.mqtt("many-%d" % i) for i in range(200)]
        for client in clients:
            client.subscribe("many", 1)
        sender = run.mqtt("many-sender")
        # In one piece, so that one turn has more deliveries than a letter.
        sender.send(
            b"".join(weir.publish_packet("many", str(i), 1, i + 1) for i in range(5))
        )
        for client in clients:
            got = payloads(next_message(client) for _ in range(5))
            weir.expect(got == list("01234"), got)
            client.close()
        sender.close()


def main():
    tap = weir.Tap()
    for workers in (1, 4):
        tap.note("%d workers" % workers)
        with weir.Weir(workers=workers, http=None) as run:
            for part in (away_and_back, limits, options, many):
                part(tap, run)
    tap.done()


if __name__ == "__main__":
    main()
