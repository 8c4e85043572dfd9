#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""MQTT 5.0: CONNECT, CONNACK, sessions, Wills, Keep Alive.

What needs time to pass waits together: see overdue().
"""

import contextlib
import string
import time

import mqtt_raw as m
import weir
from cases import Cases, fresh
from mqtt_raw import Client, Will

ACCOUNTS = [{"name": "anna", "password": "a"}, {"name": "bert", "password": "b"}]
KEEP = {"session_expiry_interval": 600}
TAKEN_OVER, KEEP_ALIVE_TIMEOUT = 0x8E, 0x8D

case = Cases()


def present(client):
    return client.connack.session_present


def back(run, client_id, **how):
    """Who comes back to a session of its own."""
    return Client(run.port, client_id, clean=False, props=KEEP, **how)


def gone(client):
    """Closed by the client, and the broker has seen it."""
    client.send(m.disconnect())
    client.closed()


@case(
    "a CONNECT is accepted by one CONNACK with 0x00 and no reserved flags "
    "[MQTT-3.1.4-5] [MQTT-3.2.0-1] [MQTT-3.2.0-2] [MQTT-3.2.2-1] [MQTT-3.2.2-8] "
    "[MQTT-4.2.0-1]"
)
def _(run):
    with Client(run.port, fresh()) as client:
        weir.expect(client.connack.reason == 0, client.connack)
        weir.expect(client.connack.body[0] == 0, client.connack.body)
        client.nothing()


@case("CONNACK comes before what waited for the session [MQTT-3.2.0-1]")
def _(run):
    name, topic = fresh(), fresh("t")
    with back(run, name) as client:
        client.subscribe(topic, 1)
        gone(client)
    with Client(run.port, fresh()) as sender:
        sender.publish(topic, b"waited", 1)
    with Client(run.port, connect=False) as client:
        # With requests behind it: nothing overtakes CONNACK.
        client.send(m.connect(name, clean=False, props=KEEP), m.pingreq())
        client.connack = client.expect(m.CONNACK, session_present=True)
        kinds = {client.read().kind, client.read().kind}
        weir.expect(kinds == {m.PUBLISH, m.PINGRESP}, kinds)


@case(
    "Clean Start ends the session there was [MQTT-3.1.2-4] [MQTT-3.2.2-2] "
    "[MQTT-3.1.4-4]"
)
def _(run):
    name, topic = fresh(), fresh("t")
    with back(run, name) as client:
        client.subscribe(topic, 1)
        gone(client)
    with Client(run.port, name, clean=True, props=KEEP) as client:
        weir.expect(not present(client), "Session Present")
        with Client(run.port, fresh()) as sender:
            done = sender.publish(topic, b"x", 1)
            weir.expect(done.reason == 0x10, "the subscription is still there")
        client.nothing()
        gone(client)
    # The session that Clean Start began is one to come back to.
    with back(run, name) as client:
        weir.expect(present(client), "no session")


@case(
    "without Clean Start a session is resumed, subscriptions and messages "
    "[MQTT-3.1.2-5] [MQTT-3.2.2-3] [MQTT-3.1.3-2] [MQTT-3.1.2-23] [MQTT-4.5.0-1]"
)
def _(run):
    name, topic = fresh(), fresh("t")
    with back(run, name) as client:
        weir.expect(not present(client), "Session Present")
        client.subscribe(topic, 2)
        client.cut()
    with Client(run.port, fresh()) as sender:
        for qos in (1, 2):
            sender.publish(topic, b"%d" % qos, qos)
        # Another client identifier is another session.
        with back(run, fresh()) as other:
            weir.expect(not present(other), "another's session")
            other.nothing()
        with back(run, name) as client:
            weir.expect(present(client), "no session")
            for qos in (1, 2):
                client.receive(topic, b"%d" % qos, qos=qos)
            client.expect_marker(sender, topic, 1)


@case(
    "without Clean Start and without a session one begins [MQTT-3.1.2-6] "
    "[MQTT-3.2.2-3]"
)
def _(run):
    name = fresh()
    with back(run, name) as client:
        weir.expect(not present(client), "Session Present")
        client.nothing()
        gone(client)
    with back(run, name) as client:
        weir.expect(present(client), "it was not kept")


@case("a session without an expiry ends with its connection [MQTT-4.1.0-2]")
def _(run):
    for props in (None, {"session_expiry_interval": 0}):
        name = fresh()
        with Client(run.port, name, props=props) as client:
            gone(client)
        with back(run, name) as client:
            weir.expect(not present(client), "it was kept")


@case("DISCONNECT may change the expiry [MQTT-3.1.2-23]")
def _(run):
    name = fresh()
    with back(run, name) as client:
        client.send(m.disconnect(0, {"session_expiry_interval": 0}))
        client.closed()
    with back(run, name) as client:
        weir.expect(not present(client), "it was kept")


@case("client identifiers of 1 to 23 letters and digits are taken [MQTT-3.1.3-5]")
def _(run):
    letters = string.digits + string.ascii_lowercase + string.ascii_uppercase
    names = [letters[i : i + 23] for i in range(0, 62, 20)]
    names += ["A", "z9", "0" * 23]
    for name in names:
        with Client(run.port, name) as client:
            weir.expect(client.connack.reason == 0, (name, client.connack))
            props = client.connack.props
            weir.expect("assigned_client_identifier" not in props, props)


@case("client identifiers may be longer, and any UTF-8 [MQTT-3.1.3-4] [MQTT-1.5.4-3]")
def _(run):
    names = ["x" * 1000, "käse/#+ 世", "\ufeffmark", "mark"]
    clients = [Client(run.port, name) for name in names]
    for client in clients:
        client.nothing()  # no two of them are the same
        client.end()


@case(
    "an empty client identifier gets a new one, told and used as its own "
    "[MQTT-3.1.3-6] [MQTT-3.1.3-7] [MQTT-3.2.2-16]"
)
def _(run):
    clients = [Client(run.port, "", props=KEEP) for _ in range(5)]
    names = [c.connack.props["assigned_client_identifier"] for c in clients]
    weir.expect(len(set(names)) == 5, names)
    for client in clients:
        client.nothing()
        gone(client)
    with back(run, names[3]) as client:
        weir.expect(present(client), "not the session of " + names[3])
    with Client(run.port, "", clean=False, props=KEEP) as client:
        name = client.connack.props["assigned_client_identifier"]
        weir.expect(name not in names and not present(client), name)


@case(
    "a client identifier that is another account's is 0x85 and the end [MQTT-3.1.3-8]"
)
def _(run):
    name = fresh()
    with back(run, name, username="anna", password="a") as owner:
        with Client(run.port, connect=False) as client:
            client.send(m.connect(name, username="bert", password="b"))
            client.closed(0x85)
        owner.nothing()


@case(
    "wrong credentials are refused and the connection ends [MQTT-3.1.4-2] "
    "[MQTT-3.2.2-7]"
)
def _(run):
    for username, password in (("anna", "b"), ("nobody", "a"), ("anna", None)):
        with Client(run.port, connect=False) as client:
            client.send(m.connect(fresh(), username=username, password=password))
            weir.expect(not client.closed(0x86).session_present, "Session Present")


@case("a second connection takes over, the first is told 0x8E [MQTT-3.1.4-3]")
def _(run):
    name, topic = fresh(), fresh("t")
    first = back(run, name)
    first.subscribe(topic, 1)
    with back(run, name) as second:
        last = first.closed(TAKEN_OVER)
        # [MQTT-3.14.2-2] also to a session that has one
        weir.expect("session_expiry_interval" not in last.props, last)
        weir.expect(present(second), "the session did not go along")
        with Client(run.port, fresh()) as sender:
            second.expect_marker(sender, topic, 1)


@case(
    "the fields of the payload are told apart by their order [MQTT-3.1.3-1] "
    "[MQTT-3.1.2-9]"
)
def _(run):
    topic = fresh("t")
    with Client(run.port, fresh()) as watcher:
        watcher.subscribe(topic, 2)
        will = Will(topic, b"of " + topic.encode(), 1)
        client = Client(run.port, fresh(), will=will, username="anna", password="a")
        weir.expect(client.connack.reason == 0, client.connack)
        client.cut()
        watcher.receive(topic, "of " + topic, qos=1)


@case(
    "a user name and a password may be there, or neither [MQTT-3.1.2-17] "
    "[MQTT-3.1.2-19]"
)
def _(run):
    for how in ({"username": "anna", "password": "a"}, {}):
        with Client(run.port, fresh(), **how) as client:
            weir.expect(client.connack.reason == 0, client.connack)


@case("requests may follow CONNECT at once [MQTT-3.1.4-5]")
def _(run):
    topic = fresh("t")
    with Client(run.port, connect=False) as client:
        client.send(
            m.connect(fresh()), m.subscribe(1, (topic, 1)), m.publish(topic, b"x", 1, 2)
        )
        client.expect(m.CONNACK, reason=0)
        client.expect(m.SUBACK, id=1)
        kinds = {client.read().kind, client.read().kind}
        weir.expect(kinds == {m.PUBACK, m.PUBLISH}, kinds)


# ------------------------------------------------------ what CONNACK tells


@case(
    "every QoS is supported and no Maximum QoS told "
    "[MQTT-3.2.2-9] [MQTT-3.2.2-10] [MQTT-3.2.2-12]"
)
def _(run):
    for qos in (0, 1, 2):
        with Client(run.port, fresh(), will=Will("w", b"", qos)) as client:
            weir.expect(client.connack.reason == 0, client.connack)
            weir.expect("maximum_qos" not in client.connack.props, "Maximum QoS")
            topic = fresh("t")
            weir.expect(client.subscribe(topic, qos) == qos, "not granted")
            client.send(m.publish(topic, b"x", qos, 9 if qos else None))
            got = {client.read().kind for _ in range(1 if qos == 0 else 2)}
            weir.expect(m.PUBLISH in got, got)
            client.end()


@case("retained messages are supported, a retained Will is taken [MQTT-3.2.2-13]")
def _(run):
    will = Will(fresh("w"), b"x", 0, True)
    with Client(run.port, fresh(), will=will) as client:
        weir.expect(client.connack.reason == 0, client.connack)
        weir.expect("retain_available" not in client.connack.props, "told")
        client.end()


@case("no Response Information unless it was asked for [MQTT-3.1.2-28]")
def _(run):
    for props in (None, {"request_response_information": 0}):
        with Client(run.port, fresh(), props=props) as client:
            props = client.connack.props
            weir.expect("response_information" not in props, props)


@case(
    "without an Authentication Method there is none in CONNACK, and no AUTH "
    "[MQTT-4.12.0-6]"
)
def _(run):
    with Client(run.port, fresh(), username="anna", password="a") as client:
        weir.expect("authentication_method" not in client.connack.props, "method")
        client.nothing()


@case(
    "a Keep Alive above the server's is answered by a Server Keep Alive "
    "[MQTT-3.1.2-21]"
)
def _(run):
    for asked, told in ((99, None), (100, None), (101, 100), (0, 100), (65535, 100)):
        with Client(run.port, fresh(), keep_alive=asked) as client:
            got = client.connack.props.get("server_keep_alive")
            weir.expect(got == told, "%r for %d" % (got, asked))


@case("no CONNACK above the client's Maximum Packet Size [MQTT-3.1.2-24]")
def _(run):
    for size in (1, 4, 5, 8, 12, 16, 24, 32):
        with Client(run.port, connect=False) as client:
            # An assigned identifier, a Server Keep Alive: what makes it long.
            client.send(m.connect("", keep_alive=0, props={"maximum_packet_size": size}))
            try:
                answer = client.read()
            except m.Closed:
                continue
            weir.expect(2 + len(answer.body) <= size, (size, answer))
            if answer.reason:
                weir.expect(answer.reason == 0x95, answer)
                client.connack = answer
                client.closed()


@case(
    "no reason strings or user properties make CONNACK too large "
    "[MQTT-3.2.2-19] [MQTT-3.2.2-20]"
)
def _(run):
    with Client(run.port, connect=False) as client:
        props = {"maximum_packet_size": 5}
        client.send(m.connect(fresh(), username="anna", password="b", props=props))
        answer = client.closed(0x86)
        weir.expect(2 + len(answer.body) <= 5, answer)


# ------------------------------------------------------------------- Wills


class Scene:
    """A watcher of one topic, and a client with a Will to it."""

    def __init__(self, run, props=None, qos=0, retain=False, byte=2 | 8, **how):
        self.run, self.topic, self.name = run, fresh("w"), fresh()
        self.watcher = Client(run.port, fresh())
        self.watcher.subscribe(self.topic, byte)
        will = Will(self.topic, b"will", qos, retain, props)
        self.client = Client(run.port, self.name, will=will, **how)

    def comes(self, **fields):
        return self.watcher.receive(self.topic, b"will", **fields)

    def does_not_come(self):
        with Client(self.run.port, fresh()) as sender:
            self.watcher.expect_marker(sender, self.topic, 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.watcher.cut()
        self.client.cut()


@case(
    "a Will is published when its connection is lost, once [MQTT-3.1.2-7] "
    "[MQTT-3.1.2-8]"
)
def _(run):
    for qos in (0, 1, 2):
        with Scene(run, qos=qos) as scene:
            scene.does_not_come()
            scene.client.cut()
            scene.comes(qos=qos, retain=False)
            scene.does_not_come()


@case("a Will is published after a Protocol Error too [MQTT-3.1.2-8]")
def _(run):
    with Scene(run) as scene:
        scene.client.send(m.subscribe(1))
        scene.client.closed(0x82)
        scene.comes()


@case("a Will is published when its client is taken over [MQTT-3.1.2-8]")
def _(run):
    with Scene(run) as scene:
        with Client(run.port, scene.name):
            scene.client.closed(TAKEN_OVER)
            scene.comes()


@case(
    "DISCONNECT 0x00 deletes the Will, any other does not [MQTT-3.14.4-3] "
    "[MQTT-3.1.2-10]"
)
def _(run):
    for packet in (m.disconnect(), m.disconnect(0), m.disconnect(0, {})):
        with Scene(run) as scene:
            scene.client.send(packet)
            scene.client.closed()
            scene.does_not_come()
    for reason in (0x04, 0x80, 0x82):
        with Scene(run) as scene:
            scene.client.send(m.disconnect(reason))
            scene.client.closed()
            scene.comes()


@case("without a Will none is published [MQTT-3.1.2-10]")
def _(run):
    with Scene(run, props={"will_delay_interval": 60}, **{"clean": False}) as scene:
        # The connection without a Will replaces the one with it.
        scene.client.send(m.disconnect())
        scene.client.closed()
        Client(run.port, scene.name, clean=False).cut()
        scene.does_not_come()


@case("Will Retain 0: the Will is not retained [MQTT-3.1.2-14]")
def _(run):
    with Scene(run) as scene:
        scene.client.cut()
        scene.comes(retain=False)
        with Client(run.port, fresh()) as late:
            late.subscribe(scene.topic)
            late.nothing()


@case("Will Retain 1: the Will is retained [MQTT-3.1.2-15]")
def _(run):
    with Scene(run, qos=1, retain=True) as scene:
        scene.client.cut()
        scene.comes(retain=True, qos=1)
        with Client(run.port, fresh()) as late:
            late.subscribe(scene.topic, 2)
            late.receive(scene.topic, b"will", retain=True, qos=1)
            late.publish(scene.topic, b"", 0, retain=True)


@case("the Will's properties come along, user properties in order [MQTT-3.1.3-10]")
def _(run):
    props = {
        "payload_format_indicator": 1,
        "content_type": "text/plain",
        "response_topic": "answer/here",
        "correlation_data": b"\0\1\2",
        "user_property": [("b", "2"), ("a", "1"), ("b", "2"), ("", "")],
    }
    given = dict(props, will_delay_interval=0, message_expiry_interval=60)
    with Scene(run, props=given) as scene:
        scene.client.cut()
        got = dict(scene.comes().props)
        left = got.pop("message_expiry_interval")
        weir.expect(50 <= left <= 60, "%d s left" % left)
        weir.expect(got == props, got)


@case("no Will when the session is connected again within its delay [MQTT-3.1.3-9]")
def _(run):
    delay = {"will_delay_interval": 2}
    how = dict(props=KEEP)
    scene = Scene(run, props=delay)
    scene.client.end()
    will = Will(scene.topic, b"will", 0, False, delay)
    client = Client(run.port, scene.name, will=will, **how)
    client.cut()
    with Client(run.port, scene.name, clean=False, **how) as client:
        weir.expect(present(client), "no session")
        scene.does_not_come()
        # And it was deleted: overdue() looks at the end of the delay.
        run.late_wills.append(scene)
        gone(client)


@case("a Will that is delayed comes when its session ends [MQTT-3.1.2-8]")
def _(run):
    scene = Scene(run, props={"will_delay_interval": 600}, **{"clean": True})
    with scene:
        # Its session ends with its connection: nothing to wait for.
        scene.client.cut()
        scene.comes()
    scene = Scene(run)
    scene.client.end()
    with scene:
        will = Will(scene.topic, b"will", 0, False, {"will_delay_interval": 600})
        Client(run.port, scene.name, will=will, props=KEEP).cut()
        scene.does_not_come()
        # Clean Start ends the session.
        Client(run.port, scene.name).end()
        scene.comes()


# ---------------------------------------------- what needs time to pass


def between(low, high, what, since):
    passed = time.monotonic() - since
    weir.expect(low <= passed <= high, "%s after %.2f s" % (what, passed))


class Race:
    """A Keep Alive of 2 s between Wills that are delayed by 2 and by 3 s.

    One worker keeps all three times, so their order is certain, however late
    it may be: the one of 2 s began before, that of 3 s after.
    """

    def __init__(self, run):
        self.run, self.topic, self.got = run, fresh("w"), []
        self.watcher = Client(run.port, fresh())
        self.watcher.subscribe(self.topic)
        self.late_will(2)
        # It asks for 60 s and is told 2.
        will = Will(self.topic, b"silent")
        self.silent = Client(run.port, fresh(), keep_alive=60, will=will)
        self.late_will(3)

    def late_will(self, seconds):
        delay = {"will_delay_interval": seconds}
        will = Will(self.topic, b"%d s" % seconds, props=delay)
        Client(self.run.port, fresh(), will=will, props=KEEP).cut()

    def look(self):
        """Keep the watcher alive, and note what came; three in all."""
        self.watcher.send(m.pingreq())
        while True:
            packet = self.watcher.read()
            weir.expect(packet is not None, self.got)
            if packet.kind == m.PINGRESP:
                return len(self.got) == 3
            self.got.append(packet.payload)


def overdue(tap, run, strict):
    """Everything that waits a second or two is begun, then looked at."""
    one = {"session_expiry_interval": 1}
    race = Race(strict)
    began = time.monotonic()
    silent = Scene(run, keep_alive=1)
    told = Client(strict.port, fresh(), keep_alive=0)
    never = Client(run.port, fresh(), keep_alive=60)
    alive = Client(run.port, fresh(), keep_alive=2)

    ended, connected = fresh(), fresh()
    Client(run.port, ended, props=one).end()
    stays = Client(run.port, connected, props=one)
    kept = fresh()
    Client(run.port, kept, props=KEEP).end()

    delayed, sooner = Scene(run), Scene(run)
    for scene, delay, expiry in ((delayed, 1, 600), (sooner, 600, 1)):
        scene.client.end()
        will = Will(scene.topic, b"will", 1, False, {"will_delay_interval": delay})
        props = {"session_expiry_interval": expiry}
        scene.client = Client(run.port, scene.name, will=will, props=props)
        scene.client.cut()
        scene.cut_at = time.monotonic()

    def both():
        alive.nothing()
        return race.look()

    while time.monotonic() < began + 1.3:
        both()
        time.sleep(0.2)
    with tap.case(
        "the Will comes when its delay has passed, or the session's expiry "
        "[MQTT-3.1.2-8] [MQTT-3.1.2-10]"
    ):
        for scene in (delayed, sooner):
            scene.comes(qos=1)
            between(0.95, 9, "the Will", scene.cut_at)
            # Once: who comes back and goes has no Will.
            Client(run.port, scene.name, clean=False).cut()
            scene.does_not_come()
    with tap.case("a session ends when its expiry has passed [MQTT-4.1.0-2]"):
        with back(run, ended) as client:
            weir.expect(not present(client), "it was kept")
        with back(run, kept) as client:
            weir.expect(present(client), "one of 600 s ended")
    with tap.case("no session ends while its connection is open [MQTT-4.1.0-1]"):
        stays.nothing()
        stays.cut()
        with back(run, connected) as client:
            weir.expect(present(client), "it ended")
    with tap.case(
        "silence of one and a half Keep Alive ends the connection, as a failure "
        "does [MQTT-3.1.2-22] [MQTT-3.2.2-22]"
    ):
        silent.client.closed(KEEP_ALIVE_TIMEOUT)
        between(1.4, 9, "the end", began)
        silent.comes()
    with tap.case(
        "the Server Keep Alive is the one that holds, one and a half times "
        "[MQTT-3.1.2-21] [MQTT-3.2.2-21] [MQTT-3.1.2-22]"
    ):
        weir.wait_for("all three came", both, pause=0.1)
        weir.expect(race.got == [b"2 s", b"silent", b"3 s"], race.got)
        for client in (told, race.silent):
            got = client.connack.props["server_keep_alive"]
            weir.expect(got == 2, "%d s" % got)
            client.closed(KEEP_ALIVE_TIMEOUT)
    with tap.case(
        "packets keep the connection, and a longer Keep Alive does [MQTT-3.1.2-22]"
    ):
        alive.nothing()
        never.nothing()
    with tap.case("a Will of a session that was resumed never comes [MQTT-3.1.3-9]"):
        while time.monotonic() < began + 2.2:
            time.sleep(0.05)
        for scene in run.late_wills:
            scene.does_not_come()


def main():
    tap = weir.Tap()
    with contextlib.ExitStack() as stack:
        run = stack.enter_context(
            weir.Weir(http=None, accounts=ACCOUNTS, max_keepalive=100)
        )
        strict = stack.enter_context(
            weir.Weir(
                http=None, accounts=None, workers=1, max_keepalive=2, durability="none"
            )
        )
        run.late_wills = []
        case.run(tap, run)
        overdue(tap, run, strict)
    tap.done()


if __name__ == "__main__":
    main()
