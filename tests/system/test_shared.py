#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""Shared subscriptions from outside: who gets a message, and with what QoS.

Two workers, so that members live on different threads.  Each group of cases
has shares of its own, so none hears of another's.
"""

import collections
import json
import select
import signal
import time

import mqtt_raw as raw
import weir
from mqtt_raw import Client

KEEP = {"session_expiry_interval": 600}
VERSIONS = (3, 4, 5)
SYS_VERSION = "$SYS/broker/version"


def suite(**keys):
    return weir.Weir(workers=2, http=None, **keys)


def take(member, count):
    """So many messages, acknowledged; their payloads."""
    got = []
    while len(got) < count:
        message = member.expect(raw.PUBLISH)
        member.acknowledge(message)
        got.append(message.payload)
    return got


def gather(members, count):
    """So many messages, acknowledged, whoever gets them: [(member, message)].

    QoS 2 is acknowledged as far as is due.
    """
    got = []
    deadline = time.monotonic() + 10
    while len(got) < count:
        weir.expect(time.monotonic() < deadline, "%d of %d came" % (len(got), count))
        if not any(member.buffer for member in members):
            select.select([member.sock for member in members], [], [], 1)
        for number, member in enumerate(members):
            packet = member.read(timeout=0)
            if packet is None:
                continue
            if packet.kind == raw.PUBREL:
                member.send(raw.pubcomp(packet.id))
                continue
            weir.expect(packet.kind == raw.PUBLISH, packet)
            if packet.qos:
                member.send((raw.puback if packet.qos == 1 else raw.pubrec)(packet.id))
            got.append((number, packet))
    return got


def numbers(got):
    """The payloads of gather(), as numbers in order."""
    return sorted(int(message.payload) for _, message in got)


def join(run, share, number, qos=1, version=5, **how):
    member = Client(run.port, "%s-%d" % (share, number), version, **how)
    code = member.subscribe("$share/%s/%s/#" % (share, share), qos)
    weir.expect(code == qos, "granted %#x" % code)
    return member


def wait_online(run, prefix, count):
    """Until so many clients of that name are connected."""

    def online():
        rows = json.loads(run.ctl("clients", "--json"))["clients"]
        return sum(
            row["client_id"].startswith(prefix) and row["connected"] for row in rows
        )

    weir.wait_for("%d of %s* online" % (count, prefix), lambda: online() == count)


def send(publisher, topic, numbers, qos=1):
    for number in numbers:
        publisher.publish(topic, b"%d" % number, qos)


def turns(tap, run):
    publisher = Client(run.port, "turns-publisher")
    for version in VERSIONS:
        share = "turns%d" % version
        with tap.case("version %d: members take turns, in order" % version):
            members = [join(run, share, i, 1, version) for i in range(3)]
            send(publisher, share + "/a", range(30))
            got = [take(member, 10) for member in members]
            weir.expect(
                sorted(sum(got, []), key=int) == [b"%d" % i for i in range(30)], got
            )
            for mine in got:
                weir.expect(mine == sorted(mine, key=int), mine)
            for member in members:
                member.cut()
    with tap.case("members of all versions share, each with its granted QoS"):
        # [MQTT-4.8.2-3]
        members = [
            join(run, "mixed", i, qos, version)
            for i, (qos, version) in enumerate(((0, 5), (1, 4), (2, 3)))
        ]
        for number in range(6):
            publisher.publish("mixed/a", b"%d" % number, 2)
        got = gather(members, 6)
        weir.expect(numbers(got) == list(range(6)), got)
        weir.expect(
            sorted((who, message.qos) for who, message in got)
            == [(0, 0), (0, 0), (1, 1), (1, 1), (2, 2), (2, 2)],
            got,
        )
    publisher.end()


def names(tap, run):
    with tap.case("names and filters that are not allowed are refused"):
        # [MQTT-4.8.2-1] [MQTT-4.8.2-2]
        for wrong in (
            "$share/", "$share//a", "$share/g", "$share/g/", "$share/g+/a",
            "$share/#/a", "$share/+/a", "$share/g/a/#/b", "$share/g/a+",
        ):
            for version in VERSIONS:
                client = Client(run.port, "names", version)
                client.send(raw.subscribe(1, (wrong, 1), version=version))
                client.closed(0x8F)
    with tap.case("a share of the same name but another filter is another"):
        one, other = Client(run.port, "one"), Client(run.port, "other")
        one.subscribe("$share/n/n/a", 1)
        other.subscribe("$share/n/n/+", 1)
        publisher = Client(run.port, "names-publisher")
        send(publisher, "n/a", range(3))
        for client in (one, other):
            weir.expect(take(client, 3) == [b"0", b"1", b"2"], "not all")
    with tap.case("\"$share\" alone and \"$sharing/x\" are filters as any"):
        one.subscribe("$share", 0)
        one.subscribe("$sharing/x", 0)
        publisher.publish("$share", b"s")
        publisher.publish("$sharing/x", b"t")
        one.receive("$share", b"s")
        one.receive("$sharing/x", b"t")
    with tap.case("no retained messages come, and RETAIN is off"):
        publisher.publish("kept/a", b"old", 1, retain=True)
        one.subscribe("$share/k/kept/#", 1)
        publisher.publish("kept/b", b"new", 1, retain=True)
        one.receive("kept/b", b"new", retain=False)
        one.nothing()
    with tap.case("No Local is refused for a share"):
        client = Client(run.port, "local")
        client.send(raw.subscribe(1, ("$share/g/a", 1 | 4)))
        client.closed(0x82)  # [MQTT-3.8.3-4]
    for client in (one, other, publisher):
        client.end()


def presence(tap, run):
    publisher = Client(run.port, "presence-publisher")
    with tap.case("who is away gets nothing while another is there"):
        away = join(run, "away", 0, props=KEEP)
        there = join(run, "away", 1, props=KEEP)
        away.end()
        wait_online(run, "away-", 1)
        send(publisher, "away/a", range(10))
        weir.expect(take(there, 10) == [b"%d" % i for i in range(10)], "not all")
    with tap.case("when all are away it is queued, and nothing is lost"):
        there.end()
        wait_online(run, "away-", 0)
        send(publisher, "away/a", range(10, 20))
        members = [
            Client(run.port, "away-%d" % i, clean=False, props=KEEP) for i in range(2)
        ]
        got = gather(members, 10)
        weir.expect(numbers(got) == list(range(10, 20)), got)
    publisher.end()


def stalls(tap, run):
    publisher = Client(run.port, "stalls-publisher")
    with tap.case("a member whose window is full does not hold the others"):
        stalled = join(run, "stall", 0, props={"receive_maximum": 1})
        others = [join(run, "stall", i) for i in (1, 2)]
        send(publisher, "stall/a", range(3))
        held = stalled.expect(raw.PUBLISH)
        got = gather(others, 2)
        for number in range(3, 60):
            send(publisher, "stall/a", (number,))
            got += gather(others, 1)
        weir.expect(
            numbers(got + [(0, held)]) == list(range(60)), (held, numbers(got))
        )
        # [MQTT-3.3.4-9] and nothing waits for it
        stalled.send(raw.puback(held.id))
        stalled.nothing()
    with tap.case("what a member refuses goes to no other"):
        # [MQTT-4.8.2-6]
        members = [join(run, "refuse", i, 2) for i in range(2)]
        for number in range(4):
            publisher.publish("refuse/a", b"%d" % number, 1 + number // 2)
        for member in members:
            message = member.expect(raw.PUBLISH, qos=1)
            member.send(raw.puback(message.id, 0x97))
            message = member.expect(raw.PUBLISH, qos=2)
            member.send(raw.pubrec(message.id, 0x80))
        members[0].cut()
        publisher.publish("refuse/a", b"last", 1)
        members[1].receive("refuse/a", b"last")
        members[1].nothing()
    publisher.end()


def leavers(tap, run):
    """What a member leaves goes to another when its session ends."""
    publisher = Client(run.port, "leavers-publisher")
    for version in (4, 5):
        for last in ("leaver", "stayer"):
            with tap.case("version %d: QoS 1 of a member that goes" % version):
                share = "go%d%s" % (version, last)
                leaver = join(run, share, 0, 1, version)
                stayer = join(run, share, 1, 1, version)
                if last == "stayer":
                    leaver, stayer = stayer, leaver
                # Its window is 64: some are unacknowledged, some unsent.
                send(publisher, share + "/a", range(200))
                got = [int(payload) for payload in take(stayer, 50)]
                leaver.cut()
                got += [int(payload) for payload in take(stayer, 150)]
                weir.expect(sorted(got) == list(range(200)), got)
                # Its own come in order, and then the other's do.
                falls = sum(b < a for a, b in zip(got, got[1:]))
                weir.expect(falls == 1, got)
                stayer.cut()
    with tap.case("QoS 2 that was begun goes to no other, what waited does"):
        # [MQTT-4.8.2-5]
        leaver = join(run, "begun", 0, 2, props={"receive_maximum": 3})
        stayer = join(run, "begun", 1, 2)
        for number in range(10):
            publisher.publish("begun/a", b"%d" % number, 2)
        got = gather((stayer,), 5)
        begun = [leaver.expect(raw.PUBLISH, qos=2).payload for _ in range(3)]
        leaver.cut()
        more = numbers(gather((stayer,), 2))
        weir.expect(
            sorted(numbers(got) + more + [int(p) for p in begun]) == list(range(10)),
            (numbers(got), more, begun),
        )
        publisher.publish("begun/a", b"last", 2)
        while True:
            packet = stayer.read()
            weir.expect(packet is not None, "the last one did not come")
            if packet.kind == raw.PUBREL:
                stayer.send(raw.pubcomp(packet.id))
                continue
            weir.expect(packet.payload == b"last", packet)
            stayer.send(raw.pubrec(packet.id))
            break
    with tap.case("members that come and go under load lose nothing"):
        count, got = 3000, collections.Counter()
        members = [join(run, "load", i) for i in range(3)]
        for number in range(count):
            publisher.send(raw.publish("load/a", b"%d" % number, 1, 1 + number % 60))
            if number % 50 == 49:
                for _ in range(50):
                    publisher.expect(raw.PUBACK)
            if number % 100 == 99:
                for who in range(3):
                    while True:
                        packet = members[who].read(timeout=0)
                        if packet is None:
                            break
                        # Read, and acknowledged: only then is it had.
                        members[who].send(raw.puback(packet.id))
                        got[int(packet.payload)] += 1
                who = number // 100 % 3
                members[who].cut()
                members[who] = join(run, "load", who)
        while len(got) < count:
            for who, message in gather(members, 1):
                got[int(message.payload)] += 1
        # One that was acknowledged just before the cut may come again.
        weir.expect(set(got) == set(range(count)), "lost some")
        for member in members:
            member.end()
    publisher.end()


def persist(run, share, number, version, clean=False):
    """A persistent member, which subscribes if it is new."""
    client = Client(
        run.port,
        "%s-%d" % (share, number),
        version,
        clean=clean,
        props=KEEP if version == 5 else None,
    )
    if not client.connack.session_present:
        client.subscribe("$share/%s/%s/#" % (share, share), 2)
    return client


def pile_up(run, share, version, publisher, qos):
    """Forty messages wait for two members that are away."""
    for number in range(2):
        persist(run, share, number, version, clean=version == 5).end()
    wait_online(run, share + "-", 0)
    send(publisher, share + "/a", range(40), qos)


def several(tap, run, durability):
    """One persistent session that has a message by several subscriptions."""
    title = "%s: a kept session in two shares, with a plain one too" % durability
    with tap.case(title):
        client = Client(run.port, "several", props=KEEP)
        for name, qos in (("", 1), ("$share/g/", 2), ("$share/h/", 2)):
            client.subscribe(name + "several/#", qos)
        publisher = Client(run.port, "several-publisher")
        send(publisher, "several/a", range(20), 2)
        got = gather((client,), 60)
        # Each three times: with QoS 1, and twice with QoS 2; each in order.
        weir.expect(numbers(got) == sorted(list(range(20)) * 3), numbers(got))
        plain = [int(message.payload) for _, message in got if message.qos == 1]
        weir.expect(plain == list(range(20)), plain)
        client.end()
        publisher.end()


def often(tap):
    """It has each as often as it is due to it, by whatever way that came."""
    with weir.Weir(workers=2, durability="process") as run:
        client = Client(run.port, "often", props=KEEP)
        for name in ("$share/g/often/#", "$share/h/often/#", "often/#"):
            client.subscribe(name, 1)
        client.end()
        other = Client(run.port, "often-shares", props=KEEP)
        for name in ("$share/i/often/#", "$share/j/often/#"):
            other.subscribe(name, 1)
        wait_online(run, "often", 1)
        thrice = sorted(list(range(20)) * 3)
        with tap.case("a kept session in two shares: published by HTTP"):
            for number in range(20):
                weir.expect(run.publish("often/a", str(number)) == 200, "refused")
            client = Client(run.port, "often", props=KEEP, clean=False)
            got = numbers(gather((client,), 60))
            weir.expect(got == thrice, got)
            client.end()
        with tap.case("one that is in two shares, and in nothing else"):
            got = numbers(gather((other,), 40))
            weir.expect(got == sorted(list(range(20)) * 2), got)
            other.end()
        wait_online(run, "often", 0)
        with tap.case("and killed behind the last PUBACK"):
            publisher = Client(run.port, "often-publisher")
            send(publisher, "often/a", range(20), 1)
            weir.kill(run.pid("weir-broker"), signal.SIGKILL)
            run.wait_ready()
            client = Client(run.port, "often", props=KEEP, clean=False)
            got = numbers(gather((client,), 60))
            weir.expect(got == thrice, got)
            client.end()


def heirs(tap, durability):
    """Members whose sessions are kept: what they leave waits for nobody else."""
    with suite(durability=durability) as run:
        several(tap, run, durability)
        publisher = Client(run.port, "heirs-publisher")
        for version in (4, 5):
            for qos in (1, 2):
                title = "%s, version %d, QoS %d: " % (durability, version, qos)
                share = "heir%d%d" % (version, qos)
                with tap.case(title + "what a session leaves goes to a member there"):
                    pile_up(run, share, version, publisher, qos)
                    heir = persist(run, share, 0, version)
                    # Clean Start ends the other's, and it is no member again.
                    Client(run.port, share + "-1", version).end()
                    got = numbers(gather((heir,), 40))
                    weir.expect(got == list(range(40)), got)
                    heir.end()
                with tap.case(title + "or to one that is away"):
                    share += "away"
                    pile_up(run, share, version, publisher, qos)
                    Client(run.port, share + "-1", version).end()
                    # In the queue of the one that is left, in order.
                    weir.wait_for(
                        "all wait for it",
                        lambda: json.loads(run.ctl("clients", "--json", share + "-0"))[
                            "clients"
                        ][0]["queued"]
                        == 40,
                    )
                    heir = persist(run, share, 0, version)
                    got = numbers(gather((heir,), 40))
                    weir.expect(got == list(range(40)), got)
                    heir.end()
        publisher.end()


def killed(tap):
    """Nothing is lost if the broker dies while it gives on."""
    with suite(durability="process") as run:
        for moment in (0, 0.002, 0.01, 0.05):
            with tap.case("killed %g s after a session ended" % moment):
                share = "killed%d" % (moment * 1000)
                publisher = Client(run.port, "killed-publisher")
                for number in range(2):
                    persist(run, share, number, 5, clean=True).end()
                wait_online(run, share + "-", 0)
                send(publisher, share + "/a", range(300))
                Client(run.port, share + "-1", 5).cut()
                time.sleep(moment)
                pid = run.pid("weir-broker")
                weir.kill(pid, signal.SIGKILL)
                run.wait_ready()
                heir = persist(run, share, 0, 5)
                weir.expect(heir.connack.session_present, "its session is lost")
                got = set()
                while len(got) < 300:
                    got.update(numbers(gather((heir,), 1)))
                weir.expect(got == set(range(300)), "others than were sent")
                heir.end()


def strategies(tap):
    shares = [
        {"name": "one", "strategy": "sticky"},
        {"filter": "by/+", "strategy": "hash_topic"},
        {"name": "dice", "filter": "dice/#", "strategy": "random"},
    ]
    with suite(share_strategy="hash", shares=shares) as run:
        publishers = [Client(run.port, "p%d" % i) for i in range(16)]

        def who(member, topics):
            """Which of 3 members gets what of each (publisher, topic)."""
            got = collections.defaultdict(set)
            members = [Client(run.port, "%s-%d" % (member, i)) for i in range(3)]
            for client in members:
                client.subscribe(member, 1)
            for number in range(3):
                for publisher in publishers:
                    for topic in topics:
                        publisher.publish(
                            topic, publisher_id(publisher) + b" %d" % number, 1
                        )
            for number, message in gather(members, 3 * 16 * len(topics)):
                name = message.payload.split()[0]
                got[(name, message.topic)].add(number)
            for client in members:
                client.end()
            return got

        def publisher_id(publisher):
            return b"p%d" % publishers.index(publisher)

        with tap.case("hash: a publisher's messages go to one member"):
            got = who("$share/h/h/#", ("h/a", "h/b"))
            for publisher in publishers:
                name = publisher_id(publisher)
                both = got[(name, "h/a")] | got[(name, "h/b")]
                weir.expect(len(both) == 1, (name, both))
            weir.expect(len(set().union(*got.values())) == 3, "not all members")
        with tap.case("hash_topic: a topic's messages go to one member"):
            topics = ["by/%d" % i for i in range(16)]
            got = who("$share/t/by/+", topics)
            for topic in topics:
                all_of = set().union(*(got[(publisher_id(p), topic)] for p in publishers))
                weir.expect(len(all_of) == 1, (topic, all_of))
            weir.expect(len(set().union(*got.values())) == 3, "not all members")
        with tap.case("random: all members get some"):
            got = who("$share/dice/dice/#", ("dice/a",))
            weir.expect(len(set().union(*got.values())) == 3, "not all members")
        with tap.case("sticky: one member gets all, then another"):
            members = [Client(run.port, "one-%d" % i) for i in range(3)]
            for member in members:
                member.subscribe("$share/one/one/#", 1)
            send(publishers[0], "one/a", range(5))
            send(publishers[1], "one/b", range(5, 10))
            got = gather(members, 10)
            first = got[0][0]
            weir.expect({who for who, _ in got} == {first}, got)
            members.pop(first).end()
            wait_online(run, "one-", 2)
            send(publishers[0], "one/a", range(20, 25))
            got = gather(members, 5)
            weir.expect(len({who for who, _ in got}) == 1, got)


def both_ways(tap, run):
    """Plain and shared with one filter, and whoever leaves meanwhile."""
    publisher = Client(run.port, "both-publisher")
    for version in (4, 5):
        with tap.case("version %d: plain and shared of one filter" % version):
            for order in range(8):
                clients = [
                    Client(run.port, "both-%d" % i, version) for i in range(4)
                ]
                for client in clients:
                    client.subscribe("both/#", 1)
                    client.subscribe("$share/both/both/#", 1)
                send(publisher, "both/a", range(4))
                gone = clients[order % 4]
                if order & 1:
                    gone.unsubscribe_later("both/#")
                if order & 2:
                    gone.unsubscribe_later("$share/both/both/#")
                publisher.send(
                    *(
                        raw.publish("both/a", b"%d" % i, 1, publisher.new_id())
                        for i in range(20)
                    )
                )
                gone.cut()
                for _ in range(20):
                    publisher.expect(raw.PUBACK)
                for client in clients:
                    if client is not gone:
                        plain = take(client, 24)
                        weir.expect(len(plain) == 24, len(plain))
                        client.cut()
    publisher.nothing()
    publisher.end()


def main():
    raw.Client.unsubscribe_later = lambda self, name: self.send(
        raw.unsubscribe(self.new_id(), name, version=self.version)
    )
    tap = weir.Tap()
    for durability in ("none", "process"):
        with tap.case(durability + ": the suite starts, and ends in order"):
            with suite(durability=durability) as run:
                for group in (turns, names, presence, stalls, leavers, both_ways):
                    group(tap, run)
    for durability in ("none", "process"):
        with tap.case(durability + ", heirs: the suite starts, and ends in order"):
            heirs(tap, durability)
    with tap.case("killed: the suite starts, and ends in order"):
        killed(tap)
    with tap.case("often: the suite starts, and ends in order"):
        often(tap)
    with tap.case("strategies: the suite starts, and ends in order"):
        strategies(tap)
    tap.done()


if __name__ == "__main__":
    main()
