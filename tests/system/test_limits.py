#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""Limits of MQTT clients from outside: what is refused, and how it is said.

One worker, so that the counts are exact.
"""

import contextlib
import socket
import struct
import time

import weir

TOPIC_NAME_INVALID = 0x90
PACKET_TOO_LARGE = 0x95
QUOTA_EXCEEDED = 0x97
RATE_EXCEEDED = 0x9F
UNAVAILABLE = 3  # MQTT 3.1.1


def suite(**keys):
    """Without the connection of the harness that asked whether it is ready."""
    run = weir.Weir(**{"workers": 1, **keys})
    weir.wait_for("the probe is gone", lambda: run.metric("connections") == 0)
    return run


def told(run, limit):
    return [s for s in run.lines("limit_reached") if "limit=%s " % limit in s]


def is_told(run, limit):
    """One line says that the limit is reached, and names the setting."""
    weir.wait_for("limit_reached: " + limit, lambda: told(run, limit))
    lines = told(run, limit)
    weir.expect(len(lines) == 1, "%d lines" % len(lines))
    weir.expect("raise " + limit.split(".")[-1] in lines[0], lines[0])


def is_counted(run, name, count):
    """Counters are shown within a second."""
    weir.wait_for(
        "%s is %d" % (name, count), lambda: run.metric(name + "_total") == count
    )


def is_closed_at_once(run, port=None):
    with contextlib.closing(
        socket.create_connection(("127.0.0.1", port or run.port), 10)
    ) as s:
        try:
            return s.recv(1) == b""
        except ConnectionResetError:
            return True


def user_properties(count):
    one = b"\x26" + weir.mqtt_string("n") + weir.mqtt_string("v")
    return one * count


def publish5(topic, qos=0, packet_id=0, properties=b""):
    body = weir.mqtt_string(topic)
    if qos:
        body += struct.pack(">H", packet_id)
    body += weir.mqtt_length(len(properties)) + properties + b"x"
    return weir.packet(weir.PUBLISH, qos << 1, body)


def is_answered(client, kind, packet_id, reason):
    body = client.expect(kind)
    weir.expect(body[:2] == struct.pack(">H", packet_id), body)
    weir.expect(len(body) > 2 and body[2] == reason, body)


# ---------------------------------------------------------- connections


def addresses(tap):
    with suite(max_connections_per_address=3) as run:
        clients = [run.mqtt("c%d" % i) for i in range(3)]
        with tap.case("one more connection of an address is closed at once"):
            for _ in range(5):
                weir.expect(is_closed_at_once(run), "it stays open")
            is_told(run, "max_connections_per_address")
            is_counted(run, "connections_refused_address", 5)
        with tap.case("who is in stays, and another comes when one has gone"):
            for client in clients:
                client.ping()
            clients.pop().close()
            weir.wait_for("it is gone", lambda: run.metric("connections") == 2)
            clients.append(run.mqtt("c3"))
            weir.expect(is_closed_at_once(run), "it stays open")
        with tap.case("a reload sets another limit, and knows who is in"):
            run.reload(max_connections_per_address=4)
            clients.append(run.mqtt("c4"))
            weir.expect(is_closed_at_once(run), "it stays open")
        with tap.case("and none"):
            run.reload(max_connections_per_address=0)
            for number in range(10):
                clients.append(run.mqtt("more-%d" % number))


def totals(tap):
    other = weir.free_port()
    port = weir.free_port()
    listeners = [
        {"bind": "127.0.0.1:%d" % port},
        {"bind": "127.0.0.1:%d" % other, "max_connections": 1},
    ]
    with suite(mqtt_port=port, listeners=listeners, max_connections=3) as run:
        first = weir.Mqtt(other, "a")
        with tap.case("max_connections of a listener is its own"):
            weir.expect(is_closed_at_once(run, other), "it stays open")
            is_told(run, "listeners.max_connections")
            clients = [run.mqtt("b"), run.mqtt("c")]
        with tap.case("max_connections is for all listeners"):
            weir.expect(is_closed_at_once(run), "it stays open")
            is_told(run, "max_connections")
            is_counted(run, "connections_refused", 2)
        with tap.case("there is room again when one has gone"):
            first.close()
            weir.wait_for("it is gone", lambda: run.metric("connections") == 2)
            weir.Mqtt(other, "d").ping()
        for client in clients:
            client.ping()


def rates(tap):
    # What the burst does not hold comes once in 1,000 seconds.
    with suite(workers=4) as run:
        with tap.case("all together: a burst, and no more"):
            run.reload(connect_rate={"per_second": 1, "burst": 8})
            clients = []
            for number in range(40):
                client = run.mqtt("c%d" % number, version=5)
                if client.return_code == RATE_EXCEEDED:
                    break
                weir.expect(client.return_code == 0, client.return_code)
                clients.append(client)
            weir.expect(8 <= len(clients) < 40, "%d connected" % len(clients))
            weir.expect(client.is_closed(), "it stays open")
        with tap.case("MQTT 3.1.1 is told that the server is unavailable"):
            client = run.mqtt("old")
            weir.expect(client.return_code == UNAVAILABLE, client.return_code)
            weir.expect(client.is_closed(), "it stays open")
        with tap.case("it is told once, and counted"):
            weir.wait_for("it is told", lambda: told(run, "connect_rate"))
            weir.expect(run.metric("connects_refused_rate_total") >= 1, "0")
        with tap.case("those who are in are not touched"):
            for client in clients:
                client.ping()
        with tap.case("who says nothing is closed when many are being told"):
            silent = [
                socket.create_connection(("127.0.0.1", run.port)) for _ in range(300)
            ]

            def some_are_closed():
                return any(is_over(s) for s in silent)

            weir.wait_for("some are closed", some_are_closed)
            weir.expect(not all(is_over(s) for s in silent), "all are closed")
            for s in silent:
                s.close()
        run.reload(connect_rate={"per_second": 0})
        with tap.case("one address"):
            run.reload(connect_rate_per_address={"per_second": 1, "burst": 3})
            codes = [run.mqtt("d%d" % i, version=5).return_code for i in range(40)]
            weir.expect(RATE_EXCEEDED in codes, codes)
            weir.wait_for("it is told", lambda: told(run, "connect_rate_per_address"))
        with tap.case("without the limit all are let in"):
            run.reload(connect_rate_per_address={"per_second": 0})
            weir.expect(run.mqtt("e", version=5).return_code == 0, "refused")


def is_over(s):
    s.setblocking(False)
    try:
        return s.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


# -------------------------------------------------------------- packets


def raw(run):
    return run.mqtt("", connect=False)


def connect_sizes(tap):
    with suite(max_connect_size=1024) as run:
        with tap.case("MQTT 5.0: a CONNECT above max_connect_size gets 0x95"):
            client = raw(run)
            client.version = 5
            client.send(
                client.connect_packet(
                    "c", True, 60, "u" * 2000, "p", None, b"", b""
                )
            )
            body = client.expect(weir.CONNACK)
            weir.expect(body[1] == PACKET_TOO_LARGE, body)
            weir.expect(client.is_closed(), "it stays open")
        with tap.case("it is refused by its fixed header, before it has come"):
            for head in (b"\x10\xff\xff\xff\x7f", b"\x10\x80\x08\0\4MQTT\5"):
                client = raw(run)
                client.send(head)
                weir.expect(client.is_closed(), "it stays open")
        with tap.case("a CONNECT at the limit is let in"):
            client = raw(run)
            room = 1024 - len(
                client.connect_packet("", True, 60, None, None, None, b"")
            )
            whole = client.connect_packet(
                "c" * (room - 1), True, 60, None, None, None, b""
            )
            weir.expect(len(whole) == 1024, len(whole))
            client.send(whole)
            weir.expect(client.expect(weir.CONNACK)[1] == 0, "refused")
        with tap.case("and may send what max_packet_size allows"):
            client.publish("a", "x" * 100000, 1)
        with tap.case("it is told and counted"):
            is_told(run, "max_connect_size")
            is_counted(run, "connects_too_large", 3)


def packet_sizes(tap):
    with suite(max_packet_size=4096) as run:
        for version in (4, 5):
            with tap.case("MQTT %d: a packet above max_packet_size" % version):
                client = run.mqtt("c", version=version)
                # Its head is enough.
                client.send(b"\x30\xff\xff\xff\x7f")
                if version == 5:
                    # [MQTT-3.2.2-15]
                    body = client.expect(weir.DISCONNECT)
                    weir.expect(body[0] == PACKET_TOO_LARGE, body)
                weir.expect(client.is_closed(), "it stays open")
        with tap.case("one at the limit is taken"):
            client = run.mqtt("d")
            client.publish("a", "x" * (4096 - 3 - 3 - 2), 1)
        with tap.case("it is told and counted"):
            is_told(run, "max_packet_size")
            is_counted(run, "packets_too_large", 2)


# --------------------------------------------------------------- topics


def topics(tap):
    with suite(max_topic_length=20, max_topic_levels=4) as run:
        watcher = run.mqtt("watcher")
        with tap.case("filters at the limits are granted"):
            weir.expect(watcher.subscribe("#", 1) == 1, "refused")
            weir.expect(watcher.subscribe("x" * 20, 1) == 1, "refused")
            weir.expect(watcher.subscribe("a/b/c/#", 1) == 1, "refused")
            weir.expect(watcher.subscribe("$share/g/a/b/c/d", 1) == 1, "refused")
        new = run.mqtt("new", version=5)
        with tap.case("filters beyond them are refused"):
            for topic_filter in ("x" * 21, "a/b/c/d/#", "$share/g/a/b/c/d/e"):
                code = watcher.subscribe(topic_filter, 1)
                weir.expect(code == 0x80, "%s: %#x" % (topic_filter, code))
                code = new.subscribe(topic_filter, 1)
                weir.expect(code == QUOTA_EXCEEDED, "%s: %#x" % (topic_filter, code))
        with tap.case("MQTT 5.0: topics beyond them are refused with 0x90"):
            new.send(publish5("a/b/c/d/e", 1, 1) + publish5("x" * 21, 2, 2))
            is_answered(new, weir.PUBACK, 1, TOPIC_NAME_INVALID)
            is_answered(new, weir.PUBREC, 2, TOPIC_NAME_INVALID)
        with tap.case("QoS 0 is dropped, and the client goes on"):
            new.send(publish5("a/b/c/d/e") + publish5("x" * 21))
            new.ping()
        with tap.case("MQTT 3.1.1: QoS 1 closes, for nothing else can be said"):
            old = run.mqtt("old")
            old.send(weir.publish_packet("a/b/c/d/e", "x", 1, 1))
            weir.expect(old.is_closed(), "it stays open")
        with tap.case("a will to such a topic is refused"):
            client = run.mqtt("w", version=5, will=("a/b/c/d/e", "", 0, False))
            weir.expect(client.return_code == TOPIC_NAME_INVALID, "let in")
            client = run.mqtt("w", will=("x" * 21, "", 0, False))
            weir.expect(client.return_code == UNAVAILABLE, "let in")
        with tap.case("nobody got any of them, and topics at the limits pass"):
            new.send(publish5("a/b/c/d", 1, 3))
            message = watcher.receive()
            weir.expect(message.topic == "a/b/c/d", message.topic)
            new.expect(weir.PUBACK)
        with tap.case("it is told and counted"):
            is_told(run, "max_topic_levels")
            is_told(run, "max_topic_length")
            is_counted(run, "topics_refused", 6 + 2 + 2 + 1 + 2)
        with tap.case("a reload allows more"):
            run.reload(max_topic_length=100, max_topic_levels=10)
            weir.wait_for(
                "they are allowed", lambda: new.subscribe("a/b/c/d/e/f", 1) == 1
            )


def depth(tap):
    with suite() as run:
        with tap.case("65,000 slashes harm nobody by default"):
            deep = "/" * 65000
            client = run.mqtt("deep", version=5)
            weir.expect(client.subscribe(deep, 1) == QUOTA_EXCEEDED, "granted")
            client.send(publish5(deep, 1, 1))
            is_answered(client, weir.PUBACK, 1, TOPIC_NAME_INVALID)
            run.mqtt("next").ping()


# -------------------------------------------------------- subscriptions


def subscriptions(tap):
    with suite(max_subscriptions=3) as run:
        for version, refused in ((4, 0x80), (5, QUOTA_EXCEEDED)):
            client = run.mqtt("c", version=version, clean=True)
            with tap.case("MQTT %d: one more subscription is refused" % version):
                for name in ("a", "b", "c"):
                    weir.expect(client.subscribe(name, 1) == 1, name)
                weir.expect(client.subscribe("d", 1) == refused, "granted")
            with tap.case("one that there is may be changed at the limit"):
                weir.expect(client.subscribe("b", 2) == 2, "refused")
            with tap.case("of one packet those are granted for which there is room"):
                client.send(
                    weir.packet(
                        weir.UNSUBSCRIBE,
                        2,
                        struct.pack(">H", 99)
                        + (b"\0" if version == 5 else b"")
                        + weir.mqtt_string("a"),
                    )
                )
                client.expect(weir.UNSUBACK)
                client.send(
                    weir.packet(
                        weir.SUBSCRIBE,
                        2,
                        struct.pack(">H", 100)
                        + (b"\0" if version == 5 else b"")
                        + b"".join(
                            weir.mqtt_string(name) + b"\1" for name in ("e", "f")
                        ),
                    )
                )
                codes = client.expect(weir.SUBACK)[-2:]
                weir.expect(codes == bytes([1, refused]), codes)
            client.close()
        with tap.case("it is told and counted"):
            is_told(run, "max_subscriptions")
            is_counted(run, "subscriptions_refused", 4)


# ----------------------------------------------------- user properties


def properties(tap):
    with suite(max_user_properties=5) as run:
        with tap.case("CONNECT with as many is let in, with more gets 0x97"):
            client = run.mqtt("c", version=5, properties=user_properties(5))
            weir.expect(client.return_code == 0, client.return_code)
            more = run.mqtt("d", version=5, properties=user_properties(6))
            weir.expect(more.return_code == QUOTA_EXCEEDED, more.return_code)
            weir.expect(more.is_closed(), "it stays open")
        with tap.case("so does a will"):
            more = run.mqtt(
                "d",
                version=5,
                will=("w", "", 0, False),
                will_properties=user_properties(6),
            )
            weir.expect(more.return_code == QUOTA_EXCEEDED, more.return_code)
        with tap.case("and PUBLISH, whose client goes on"):
            client.send(publish5("a", 1, 1, user_properties(6)))
            is_answered(client, weir.PUBACK, 1, QUOTA_EXCEEDED)
            client.send(publish5("a", 0, 0, user_properties(30000)))
            client.ping()
        with tap.case("it is told and counted"):
            is_told(run, "max_user_properties")
            is_counted(run, "properties_refused", 4)
        with tap.case("when it has been quiet for a while it is summed up"):
            weir.wait_for(
                "limit_summed_up",
                lambda: any(
                    "limit=max_user_properties" in s and "count=4 " in s
                    for s in run.lines("limit_summed_up")
                ),
            )


# --------------------------------------------------------- publish rate


def payloads(client, count):
    return [int(client.receive().payload.split(b" ")[0]) for _ in range(count)]


def burst(client, topic, count, qos, payload=b""):
    """All at once, nothing waited for."""
    client.send(
        b"".join(
            weir.publish_packet(
                topic, b"%d" % i + payload, qos, i + 1 if qos else 0, version=client.version
            )
            for i in range(count)
        )
    )


def publish_rate(tap):
    rate = {"per_second": 20, "burst": 10}
    with suite(publish_rate=rate, read_ahead="4KiB") as run:
        watcher = run.mqtt("watcher")
        watcher.subscribe("t/#", 1)
        for version in (4, 5):
            kind = "MQTT %d: " % version
            client = run.mqtt("fast", version=version)
            started = time.monotonic()
            burst(client, "t/a", 40, 1)
            client.send(weir.packet(weir.PINGREQ))
            with tap.case(kind + "a ping is answered before what is held"):
                kinds = []
                while len(kinds) < 41:
                    kinds.append(client.read()[0])
                weir.expect(weir.PINGRESP in kinds[:40], kinds)
            with tap.case(kind + "what came too fast comes later, all of it, in order"):
                weir.expect(payloads(watcher, 40) == list(range(40)), "another order")
                took = time.monotonic() - started
                weir.expect(took > (40 - 10) / 20 - 0.1, "after %.2f s" % took)
            client.close()
        with tap.case("it is told once, and counted a message"):
            is_told(run, "publish_rate")
            count = run.metric("publishes_throttled_total")
            weir.expect(2 <= count <= 60, count)
        with tap.case("one that fills the read-ahead with QoS 0 loses nothing"):
            client = run.mqtt("flood")
            burst(client, "t/b", 60, 0, b" " + b"x" * 200)
            client.send(weir.packet(weir.PINGREQ))
            other = run.mqtt("other")
            other.publish("o", "x", 1)  # its neighbour is not held
            weir.expect(payloads(watcher, 60) == list(range(60)), "another order")
            client.expect(weir.PINGRESP)
        with tap.case("a reload sets free what is held"):
            burst(client, "t/c", 5000, 0)
            run.reload(publish_rate={"per_second": 0})
            weir.expect(payloads(watcher, 5000) == list(range(5000)), "another order")
        with tap.case("and gives a rate in bytes, to who is there too"):
            run.reload(
                publish_rate={"bytes_per_second": 20000, "bytes_burst": 10000}
            )

            def held():
                return run.metric("publishes_throttled_total")

            before = held()
            started = time.monotonic()
            while held() == before:
                burst(client, "t/d", 4, 0, b" " + b"x" * 5000)
                weir.expect(payloads(watcher, 4) == list(range(4)), "another order")
                weir.expect(time.monotonic() < started + 20, "it is not held")
        with tap.case("a message larger than the burst passes"):
            client.publish("t/e", b"7 " + b"x" * 50000, 0)
            weir.expect(payloads(watcher, 1) == [7], "another")
        with tap.case("who goes while it is held takes nobody along"):
            burst(client, "t/f", 1000, 0, b" " + b"x" * 100)
            client.cut()
            run.mqtt("next").ping()


def main():
    tap = weir.Tap()
    for group in (
        addresses,
        totals,
        rates,
        connect_sizes,
        packet_sizes,
        topics,
        depth,
        subscriptions,
        properties,
        publish_rate,
    ):
        tap.attempt(group)
    tap.done()


if __name__ == "__main__":
    main()
