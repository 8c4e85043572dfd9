#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""Subscribers that do not keep up: slow_subscriber, and nobody else's delay.

One worker, so that the counts are exact.
"""

import contextlib
import resource
import socket
import struct
import time

import weir

QUOTA_EXCEEDED = 0x97
QUEUE = 10
STALLED = 1000
HALF_OPEN = 2000
IDLE = 9000


def suite(policy, **keys):
    return weir.Weir(
        workers=1, slow_subscriber=policy, **{"max_queued_messages": QUEUE, **keys}
    )


def send(run, count, first=0, topic="q/a", payload=b""):
    with contextlib.closing(run.mqtt("sender")) as client:
        for number in range(first, first + count):
            client.publish(topic, b"%d" % number + payload, 1)


def numbers(client, count):
    """What comes next, each acknowledged."""
    return [int(client.receive().payload.split(b" ")[0]) for _ in range(count)]


def is_counted(run, name, count):
    weir.wait_for(
        "%s is %d" % (name, count), lambda: run.metric(name + "_total") == count
    )


def wants(got, want):
    weir.expect(got == list(want), "%r" % got)


# ---------------------------------------------------- a client that is away


def away(tap, durability):
    for policy, kept in (
        ("drop_newest", range(QUEUE)),
        ("drop_oldest", range(50, 60)),
        ("disconnect", range(QUEUE)),
    ):
        with suite(policy, durability=durability) as run:
            name = "%s, durability %s: " % (policy, durability)
            client = run.mqtt("absent", clean=False)
            client.subscribe("q/#", 1)
            client.close()
            send(run, 60)
            with tap.case(name + "the queue of a client that is away"):
                is_counted(run, "dropped_queue_full", 50)
                weir.wait_for(
                    "the queue is within its limit",
                    lambda: run.metric("queued") == QUEUE,
                )
                client = run.mqtt("absent", clean=False)
                wants(numbers(client, QUEUE), kept)
                weir.expect(client.is_silent(0.1), "more comes")
            with tap.case(name + "it goes on when it has caught up"):
                send(run, 3, 100)
                wants(numbers(client, 3), range(100, 103))
            if durability == "none":
                continue
            client.close()
            send(run, 60)
            is_counted(run, "dropped_queue_full", 100)
            weir.wait_for(
                "those are read that go", lambda: run.metric("queued") == QUEUE
            )
            with tap.case(name + "what was dropped does not come back"):
                run.kill_all()
                run.start()
                run.wait_ready()
                client = run.mqtt("absent", clean=False)
                got = until_silent(client)
                # The journal may not have heard of the last ones.
                first = kept[0] if policy != "drop_oldest" else max(45, got[0])
                wants(got, range(first, kept[-1] + 1))


def until_silent(client):
    got = []
    with contextlib.suppress(AssertionError):
        while True:
            got.append(int(client.receive(0.3).payload.split(b" ")[0]))
    return got


def bytes_of_a_queue(tap):
    # 40 messages of 1 KiB and a bit.
    with suite(
        "drop_oldest", max_queued_messages=1000, max_queued_bytes="40KiB"
    ) as run:
        client = run.mqtt("absent", clean=False)
        client.subscribe("q/#", 1)
        client.close()
        send(run, 200, payload=b" " + b"x" * 1000)
        with tap.case("drop_oldest: max_queued_bytes has the last ones stay"):
            client = run.mqtt("absent", clean=False)
            got = until_silent(client)
            weir.expect(20 <= len(got) <= 40, "%d" % len(got))
            wants(got, range(200 - len(got), 200))


def is_full(run, limit):
    weir.wait_for(
        limit,
        lambda: any("limit=%s " % limit in s for s in run.lines("limit_reached")),
    )


def all_queues(tap):
    """Two sessions of one worker, and of 100 messages each 50 in all."""
    for policy, durability in (
        ("drop_newest", "process"),
        ("drop_oldest", "process"),
        ("drop_newest", "none"),
        ("drop_oldest", "none"),
    ):
        kind = "%s, durability %s: " % (policy, durability)
        with suite(
            policy,
            durability=durability,
            max_queued_messages=1000,
            max_queued_messages_total=50,
        ) as run:
            for name in ("one", "two"):
                client = run.mqtt(name, clean=False)
                client.subscribe("q/#", 1)
                client.close()
            send(run, 100)
            with tap.case(kind + "all queues together are within their limit"):
                is_full(run, "max_queued_messages_total")
                # What each turn of the worker brings comes on top.
                weir.wait_for(
                    "they are", lambda: 40 <= run.metric("queued") <= 60
                )
                weir.expect(run.metric("queued_bytes") > 0, "no bytes")
            with tap.case(kind + "each session gets its part, in order"):
                for name in ("one", "two"):
                    client = run.mqtt(name, clean=False)
                    got = until_silent(client)
                    weir.expect(15 <= len(got) <= 35, got)
                    last = 100 if policy == "drop_oldest" else len(got)
                    wants(got, range(last - len(got), last))
                    client.close()
            with tap.case(kind + "when they are empty nothing is dropped any more"):
                weir.wait_for("they are", lambda: run.metric("queued") == 0)
                weir.expect(run.metric("queued_bytes") == 0, "bytes are left")
                before = run.metric("dropped_queue_full_total")
                send(run, 20)
                weir.expect(
                    run.metric("dropped_queue_full_total") == before, "some are"
                )
    with suite(
        "drop_newest",
        durability="none",
        max_queued_messages=1000,
        max_queued_bytes_total="20KiB",
    ) as run:
        client = run.mqtt("one", clean=False)
        client.subscribe("q/#", 1)
        client.close()
        send(run, 100, payload=b" " + b"x" * 1000)
        with tap.case("max_queued_bytes_total"):
            is_full(run, "max_queued_bytes_total")
            weir.wait_for(
                "it holds", lambda: 0 < run.metric("queued_bytes") < 30 * 1024
            )


# ----------------------------------------- a client that does not acknowledge


def window(client):
    """The four that are in flight, not acknowledged."""
    messages = []
    for _ in range(4):
        kind, flags, body = client.read()
        weir.expect(kind == weir.PUBLISH, "packet type %d" % kind)
        messages.append(weir.Message(flags, body, client.version))
    return messages


def connected(run, name, clean=True):
    # Receive Maximum 4 and, for a session that is kept, an expiry.
    properties = b"\x21\0\4" + (b"" if clean else b"\x11\0\0\2\x58")
    client = run.mqtt(name, version=5, clean=clean, properties=properties)
    client.subscribe("q/#", 1)
    return client


def unacknowledged(tap, durability, clean):
    kind = "durability %s, %s session: " % (durability, "clean" if clean else "kept")
    for policy, kept in (
        ("drop_newest", range(4, 14)),
        ("drop_oldest", range(50, 60)),
    ):
        with suite(policy, durability=durability) as run:
            client = connected(run, "slow", clean)
            send(run, 60)
            with tap.case(kind + policy + " does not touch what is in flight"):
                flight = window(client)
                wants([int(m.payload) for m in flight], range(4))
                weir.expect(client.is_silent(0.1), "more is in flight")
                is_counted(run, "dropped_queue_full", 60 - 4 - QUEUE)
                for message in flight:
                    client.send(weir.packet(weir.PUBACK, 0, struct.pack(">H", message.id)))
                wants(numbers(client, QUEUE), kept)
                weir.expect(client.is_silent(0.1), "more comes")
            with tap.case(kind + policy + ": the episode has two lines"):
                weir.wait_for("summed up", lambda: run.lines("session_dropped"))
                weir.expect(len(run.lines("session_dropping")) == 1, "lines")
                weir.expect(
                    "dropped=46 " in run.lines("session_dropped")[0],
                    run.lines("session_dropped"),
                )


def disconnected(tap):
    with suite("disconnect") as run:
        clients = {5: connected(run, "slow-5"), 4: run.mqtt("slow-4")}
        neighbour = run.mqtt("neighbour")
        neighbour.subscribe("other", 1)
        clients[4].subscribe("q/#", 1)
        # 64 are in flight to the one, four to the other.
        send(run, 100)
        with tap.case("disconnect, MQTT 5.0: 0x97, and closed"):
            window(clients[5])
            body = clients[5].expect(weir.DISCONNECT)
            weir.expect(body[0] == QUOTA_EXCEEDED, body)
            weir.expect(clients[5].is_closed(), "it stays open")
        with tap.case("disconnect, MQTT 3.1.1: closed"):
            weir.expect(clients[4].is_closed(), "it stays open")
        with tap.case("disconnect: counted and told, and the neighbour is there"):
            is_counted(run, "slow_disconnects", 2)
            weir.wait_for(
                "two lines",
                lambda: len(run.lines("slow_subscriber_disconnected")) == 2,
            )
            neighbour.publish("other", "x", 0)
            weir.expect(neighbour.receive().payload == b"x", "another")
        with tap.case("a reload sets another policy"):
            run.reload(slow_subscriber="drop_oldest")

            def keeps_the_newest():
                client = connected(run, "again")
                send(run, 60)
                for message in window(client):
                    client.send(
                        weir.packet(weir.PUBACK, 0, struct.pack(">H", message.id))
                    )
                try:
                    return numbers(client, QUEUE) == list(range(50, 60))
                except EOFError:
                    return False

            weir.wait_for("the newest are kept", keeps_the_newest)


# --------------------------------------------------- a client that does not read


def stalled_socket(run, name):
    """Subscribed to flood/#, and never read."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.settimeout(10)
    s.connect(("127.0.0.1", run.port))
    client = weir.Mqtt.__new__(weir.Mqtt)
    client.version = 4
    connect = client.connect_packet(name, True, 0, None, None, None, b"")
    subscribe = weir.packet(
        weir.SUBSCRIBE, 2, b"\0\1" + weir.mqtt_string("flood/#") + b"\0"
    )
    s.sendall(connect + subscribe)
    return s


def unread(tap):
    for policy in ("drop_newest", "disconnect"):
        with suite(policy, output_buffer="64KiB") as run:
            stalled = stalled_socket(run, "stalled")
            weir.wait_for("it is there", lambda: run.metric("clients") == 1)
            with contextlib.closing(run.mqtt("sender")) as sender:
                reader = weir.Collector(run.port, "flood/#", 0)
                sent = 0

                def is_noticed():
                    nonlocal sent
                    for _ in range(20):
                        sender.publish("flood/a", b"x" * 16384, 0)
                        sent += 1
                        # Else it may be slow itself, on a busy machine.
                        reader.wait_count(sent)
                    name = "slow_disconnects" if policy == "disconnect" else "dropped_slow"
                    return run.metric(name + "_total") > 0

                with tap.case("QoS 0 beyond output_buffer: " + policy):
                    weir.wait_for("it is noticed", is_noticed)
                with tap.case(policy + ": who reads gets all of it"):
                    reader.wait_count(sent)
                    reader.stop()
                if policy == "disconnect":
                    with tap.case("disconnect: its connection is closed"):
                        weir.wait_for(
                            "it is gone", lambda: run.metric("connections") <= 1
                        )
            stalled.close()


# ------------------------------------------------------ many of them at once


def p99_ms(run, count=300):
    """Round trips of QoS 1 through the broker."""
    with contextlib.closing(run.mqtt("pinger")) as client:
        client.subscribe("ping", 0)
        took = []
        for number in range(count):
            started = time.monotonic()
            client.publish("ping", b"%d" % number, 0)
            client.receive()
            took.append((time.monotonic() - started) * 1e3)
    return sorted(took)[count * 99 // 100]


def flood(run):
    with contextlib.closing(run.mqtt("flooder")) as client:
        for _ in range(40):
            client.publish("flood/a", b"x" * 8192, 0)
        client.ping(60)


def pss_kib(pid):
    with open("/proc/%d/smaps_rollup" % pid) as f:
        return next(int(s.split()[1]) for s in f if s.startswith("Pss:"))


def crowd(tap):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    stalled = half = ()
    with suite("drop_newest", output_buffer="64KiB", connect_timeout="5m") as run:
        pid = run.pid("weir-broker")
        alone = p99_ms(run)
        before = pss_kib(pid)
        try:
            stalled = [stalled_socket(run, "s%d" % i) for i in range(STALLED)]
            # A CONNECT that announces 60,000 bytes, and brings 1,000.
            half = [
                socket.create_connection(("127.0.0.1", run.port), 10)
                for _ in range(HALF_OPEN)
            ]
            for s in half:
                s.sendall(b"\x10\xe0\xd4\x03\0\4MQTT\4\2\0\0\xff\xff" + b"x" * 1000)
            weir.wait_for(
                "all are there",
                lambda: run.metric("connections") == STALLED + HALF_OPEN
                and run.metric("clients") == STALLED,
            )
            flood(run)
            among = p99_ms(run)
            after = pss_kib(pid)
            tap.note(
                "p99 of a round trip: %.2f ms alone, %.2f ms among %d stalled and "
                "%d half open" % (alone, among, STALLED, HALF_OPEN)
            )
            tap.note("PSS of the broker: %d KiB before, %d KiB now" % (before, after))
            with tap.case("1,000 stalled subscribers: messages were dropped"):
                weir.wait_for(
                    "some are", lambda: run.metric("dropped_slow_total") > 0
                )
            with tap.case("their memory, and that of 2,000 half open, is bounded"):
                # output_buffer, one message beyond it, chunks of 4 KiB; and
                # what was received of a CONNECT.
                most = STALLED * (64 + 8 + 8) + HALF_OPEN * 4
                weir.expect(after - before < most, "%d KiB" % (after - before))
            with tap.case("a round trip of others takes no eternity"):
                weir.expect(among < 250, "%.1f ms" % among)
        finally:
            for s in (*stalled, *half):
                s.close()
        with tap.case("the memory is given back when they have gone"):
            weir.wait_for("they are gone", lambda: run.metric("connections") == 0)
            weir.wait_for(
                "it is given back", lambda: pss_kib(pid) - before < (after - before) / 3
            )
            tap.note("PSS of the broker: %d KiB afterwards" % pss_kib(pid))


# ---------------------------------------------------------- those who wait


def idle(tap):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    clients = []
    with weir.Weir(workers=2) as run:
        pid = run.pid("weir-broker")
        before = pss_kib(pid)
        try:
            for number in range(IDLE):
                client = weir.Mqtt(run.port, "", connect=False)
                clients.append(client)
                client.send(
                    client.connect_packet(
                        "idle-%d" % number, True, 0, None, None, None, b""
                    )
                    + weir.packet(
                        weir.SUBSCRIBE,
                        2,
                        b"\0\1" + weir.mqtt_string("idle/%d" % number) + b"\0",
                    )
                )
            for client in clients:
                client.expect(weir.CONNACK)
                client.expect(weir.SUBACK)
            # 10 MB per 10,000, and what the first ones make grow.
            most = before + 1100 * IDLE // 1024
            with tap.case("an idle subscriber costs less than 1,100 bytes"):
                weir.wait_for("buffers are given back", lambda: pss_kib(pid) < most)
            there = pss_kib(pid)
            tap.note(
                "PSS: %d KiB, with %d idle subscribers %d KiB: %.1f MB per 10,000"
                % (before, IDLE, there, (there - before) * 10.24 / IDLE)
            )
        finally:
            for client in clients:
                client.cut()
        with tap.case("and its memory is given back when it has gone"):
            weir.wait_for(
                "most of it is",
                lambda: pss_kib(pid) - before < (there - before) / 2,
            )


def main():
    tap = weir.Tap()
    for durability in ("process", "none"):
        tap.attempt(away, durability)
    tap.attempt(bytes_of_a_queue)
    tap.attempt(all_queues)
    tap.attempt(unacknowledged, "process", False)
    tap.attempt(unacknowledged, "process", True)
    tap.attempt(unacknowledged, "none", True)
    tap.attempt(disconnected)
    tap.attempt(unread)
    tap.attempt(crowd)
    tap.attempt(idle)
    tap.done()


if __name__ == "__main__":
    main()
