#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""Where accounts may publish and what they may subscribe to, by MQTT."""

import json
import os
import signal

import weir
from mqtt_raw import Client, Will, options, subscribe
from weir import SUBACK

ACCOUNTS = [
    {"name": "admin", "password": "public"},
    {
        "name": "sensor",
        "password": "s",
        "publish": ["s/%u/%c/#", "all/+"],
        "subscribe": ["cmd/%c", "news/#"],
    },
    {"name": "reader", "password": "r", "publish": [], "subscribe": ["+/#"]},
    {"name": "filed", "password": "f"},
]
ACCESS = [
    {"account": "filed", "publish": ["f/#"], "subscribe": []},
    {"account": "", "publish": ["anyone"], "subscribe": ["public/#"]},
]
DAY = {"session_expiry_interval": 86400}


PASSWORDS = {a["name"]: a["password"] for a in ACCOUNTS}


def join(suite, client_id, user, **more):
    return Client(
        suite.port, client_id, username=user, password=PASSWORDS.get(user), **more
    )


def publishing(tap, suite, admin):
    with tap.case("PUBLISH where the account may not is answered 0x87"):
        one = join(suite, "dev1", "sensor")
        for topic, may in (
            ("s/sensor/dev1/t", True), ("s/sensor/dev1", True), ("all/x", True),
            ("s/sensor/dev2/t", False), ("s/admin/dev1/t", False),
            ("all/x/y", False), ("other", False), ("$x", False),
        ):
            for qos in (1, 2):
                answer = one.publish(topic, b"x", qos)
                weir.expect((answer.reason < 0x80) == may, (topic, answer))
                if not may:
                    weir.expect(answer.reason == 0x87, answer)
                    weir.expect("publish" in answer.props["reason_string"], answer)
    with tap.case("it goes to nobody, whatever the QoS, and is not retained"):
        admin.subscribe("#", 1)
        for qos in (0, 1, 2):
            one.publish("other", b"secret", qos, retain=True)
        one.publish("all/x", b"open", 1)
        admin.receive("all/x", b"open", retain=False)
        admin.unsubscribe("#")
        late = join(suite, "late", "admin")
        late.subscribe("other")
        late.expect_marker(admin, "other")
    with tap.case("MQTT 3.1.1 has no word for it: acknowledged, and dropped"):
        old = join(suite, "dev1", "sensor", version=4)
        admin.subscribe("other", 1)
        for qos in (0, 1, 2):
            old.publish("other", b"secret", qos)
        admin.expect_marker(late, "other")
        late.end()
        admin.unsubscribe("other")
        old.end()
    with tap.case("by an alias, too"):
        one = join(suite, "dev1", "sensor")
        answer = one.publish("other", b"", 1, props={"topic_alias": 1})
        weir.expect(answer.reason == 0x87, answer)
        answer = one.publish("", b"", 1, props={"topic_alias": 1})
        weir.expect(answer.reason == 0x87, answer)
    with tap.case("an empty list is nowhere; access has the last word"):
        answer = join(suite, "r", "reader").publish("a", b"", 1)
        weir.expect(answer.reason == 0x87, answer)
        filed = join(suite, "f", "filed")
        weir.expect(filed.publish("a", b"", 1).reason == 0x87, "a")
        weir.expect(filed.publish("f/a", b"", 1).reason == 0x10, "f/a")
    with tap.case("a name never widens a filter"):
        for name in ("+", "#", "a/b", "$SYS", "dev1/#"):
            odd = join(suite, name, "sensor")
            for topic in ("s/sensor/dev1/t", "s/sensor/a/b/t", "s/sensor/a"):
                weir.expect(odd.publish(topic, b"", 1).reason == 0x87, (name, topic))
            weir.expect(odd.publish("all/a", b"", 1).reason == 0x10, name)
            for topic_filter in ("cmd/+", "cmd/#", "cmd/a/b", "cmd/" + name):
                weir.expect(odd.subscribe(topic_filter) == 0x87, (name, topic_filter))
            odd.end()
    with tap.case("clients without a name have rules of their own"):
        nobody = join(suite, "n", None)
        weir.expect(nobody.publish("anyone", b"", 1).reason == 0x10, "anyone")
        weir.expect(nobody.publish("a", b"", 1).reason == 0x87, "a")
        weir.expect(nobody.subscribe("public/#") == 0, "public")
        weir.expect(nobody.subscribe("#") == 0x87, "all")
    with tap.case("HTTP knows the same rules, but no client identifier"):
        for topic, status in (
            ("all/x", 200), ("s/sensor/dev1/t", 403), ("s/sensor//t", 403),
        ):
            got = suite.http(
                "POST", "/api/v4/mqtt/publish", auth="sensor:s",
                body=json.dumps({"topic": topic, "payload": "x", "clientid": "dev1"}),
            )[0]
            weir.expect(got == status, (topic, got))


def subscribing(tap, suite, admin):
    with tap.case("a subscription must be covered as a whole"):
        one = join(suite, "dev1", "sensor")
        for topic_filter, may in (
            ("cmd/dev1", True), ("news/#", True), ("news/+/x", True), ("news", True),
            ("$share/g/news/a", True), ("cmd/dev2", False), ("cmd/+", False),
            ("#", False), ("+/dev1", False), ("$share/g/#", False),
            ("$share/cmd/dev1", False), ("$SYS/#", False),
        ):
            got = one.subscribe(topic_filter, 1)
            weir.expect(got == (1 if may else 0x87), (topic_filter, got))
        old = join(suite, "dev1", "sensor", version=4)
        weir.expect(old.subscribe("cmd/+", 1) == 0x80, "3.1.1")
    with tap.case("in one SUBSCRIBE, each line is judged by itself"):
        one = join(suite, "dev1", "sensor")
        one.send(subscribe(5, ("#", 0), ("cmd/dev1", 1), ("other", 2)))
        answer = one.expect(SUBACK, id=5, reasons=[0x87, 1, 0x87])
        weir.expect("filter" in answer.props["reason_string"], answer)
        admin.publish("other", b"no", 1)
        admin.publish("cmd/dev1", b"yes", 1)
        one.receive("cmd/dev1", b"yes")
    with tap.case("retained messages come with allowed subscriptions alone"):
        admin.publish("other/kept", b"no", 1, retain=True)
        admin.publish("news/kept", b"yes", 1, retain=True)
        weir.expect(one.subscribe("other/kept") == 0x87, "other")
        one.subscribe("news/#")
        one.receive("news/kept", b"yes")
    with tap.case("+/# is everything but what begins with $"):
        reader = join(suite, "r", "reader")
        for topic_filter, may in (("#", 1), ("a/+", 1), ("$SYS/#", 0), ("$a", 0)):
            got = reader.subscribe(topic_filter, options(handling=2))
            weir.expect(got == (0 if may else 0x87), (topic_filter, got))


def wills(tap, suite, admin):
    with tap.case("a will that the account may not publish is refused at once"):
        one = join(suite, "dev1", "sensor", will=Will("other", b"w"))
        weir.expect(one.connack.reason == 0x87, one.connack)
        weir.expect("Will" in one.connack.props["reason_string"], one.connack)
        old = join(suite, "dev1", "sensor", version=4, will=Will("other", b"w"))
        weir.expect(old.connack.reason in (5, 0x87), old.connack)
    with tap.case("one that it may is published"):
        admin.subscribe("all/will", 1)
        one = join(suite, "dev1", "sensor", will=Will("all/will", b"w", 1))
        one.cut()
        admin.receive("all/will", b"w")
        admin.unsubscribe("all/will")


def rewrite(suite, **keys):
    suite.settings.update(keys)
    with open(suite.config, "w") as f:
        f.write(weir.libconfig(suite.settings))


def change(suite, **keys):
    rewrite(suite, **keys)
    os.kill(suite.pid("weir-broker"), signal.SIGHUP)


def reload(tap, suite, admin):
    one = join(suite, "live", "sensor", props=DAY)
    away = join(suite, "away", "sensor", props=DAY)
    for client in (one, away):
        for topic_filter in ("news/a", "news/b", "$share/g/news/b"):
            client.subscribe(topic_filter, 1)
    away.end()
    doomed = join(
        suite, "doomed", "sensor", will=Will("all/doomed", b"never", 1),
    )
    less = [dict(a) for a in ACCOUNTS]
    less[1]["publish"] = ["all/live"]
    less[1]["subscribe"] = ["news/a"]
    with tap.case("a reload takes access away from who is connected"):
        weir.expect(one.publish("all/live", b"", 1).reason == 0x10, "before")
        weir.expect(one.publish("all/more", b"", 1).reason == 0x10, "before")
        change(suite, accounts=less)
        weir.wait_for(
            "the publish is refused",
            lambda: one.publish("all/more", b"", 1).reason == 0x87,
        )
        weir.expect(one.publish("all/live", b"", 1).reason == 0x10, "after")
        weir.expect(one.subscribe("news/b", 1) == 0x87, "news/b")
    with tap.case("and ends subscriptions, also of who is away"):
        weir.wait_for(
            "both are told",
            lambda: len(suite.lines("subscriptions_revoked")) == 2,
        )
        for topic, reason in (("news/b", 0x10), ("news/a", 0)):
            answer = admin.publish(topic, topic.encode(), 1)
            weir.expect(answer.reason == reason, (topic, answer))
        one.receive("news/a", b"news/a")
        away = join(suite, "away", "sensor", clean=False, props=DAY)
        weir.expect(away.connack.session_present, "the session is there")
        away.receive("news/a", b"news/a")
    with tap.case("a will is judged again when it fires"):
        admin.subscribe("all/doomed", 1)
        doomed.cut()
        weir.wait_for("it is denied", lambda: suite.lines("will_denied"))
        other = join(suite, "other", "admin")
        admin.expect_marker(other, "all/doomed", 1)
    with tap.case("after a restart, too"):
        one.end()
        away.end()
        more = [dict(a) for a in less]
        more[1]["subscribe"] = []
        rewrite(suite, accounts=more)
        weir.kill(suite.pid("weir-broker"), signal.SIGKILL)
        weir.wait_for(
            "the sessions are judged",
            lambda: len(suite.lines("subscriptions_revoked")) == 4,
        )


def main():
    tap = weir.Tap(120)
    with weir.Weir(accounts=ACCOUNTS, access=ACCESS) as suite:
        admin = join(suite, "watch", "admin")
        publishing(tap, suite, admin)
        subscribing(tap, suite, admin)
        wills(tap, suite, admin)
        reload(tap, suite, admin)
        with tap.case("an account that there is not is told"):
            change(suite, access=[{"account": "ghost", "publish": []}])
            weir.wait_for("the line", lambda: suite.lines("access_unused"))
    tap.done()


if __name__ == "__main__":
    main()
