#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""The broker's numbers below $SYS/broker/, as other programs read them."""

import re
import shutil
import subprocess

import weir
from mqtt_raw import Client, Will
from weir import PUBLISH

NUMBERS = """
bytes/received bytes/sent clients/active clients/connected clients/disconnected
clients/expired clients/inactive clients/maximum clients/total
messages/received messages/sent messages/stored publish/bytes/received
publish/bytes/sent publish/messages/dropped publish/messages/received
publish/messages/sent shared_subscriptions/count store/messages/bytes
store/messages/count
subscriptions/count
""".split() + ["retained messages/count"]
LOADS = """
bytes/received bytes/sent connections messages/received messages/sent
publish/dropped publish/received publish/sent sockets
""".split()


class Watch:
    """A subscriber to $SYS/broker/#, and what it was told last."""

    def __init__(self, suite, topic_filter="$SYS/broker/#"):
        self.client = Client(suite.port, "watch-%s" % id(self), keep_alive=0)
        weir.expect(self.client.subscribe(topic_filter, 2) == 2, "subscribed")
        self.now = {}
        self.retained = set()
        self.told = {}

    def read(self):
        message = self.client.read(0.2)
        if message is None:
            return
        weir.expect(message.kind == PUBLISH and message.qos == 0, message)
        name = message.topic[len("$SYS/broker/") :]
        self.now[name] = message.payload.decode()
        self.told.setdefault(name, []).append(self.now[name])
        if message.retain:
            self.retained.add(name)

    def until(self, what, condition):
        def look():
            self.read()
            return condition(self.now)

        weir.wait_for(what, look, pause=0)


def names(tap, suite):
    with tap.case("all usual names are there at once, retained"):
        watch = Watch(suite)
        want = set(NUMBERS) | {"version", "uptime"}
        for load in LOADS:
            want |= {"load/%s/%s" % (load, m) for m in ("1min", "5min", "15min")}
        watch.until("all names", lambda now: want <= set(watch.retained))
        weir.expect(not set(watch.now) - want, set(watch.now) - want)
        for name in NUMBERS:
            weir.expect(watch.now[name].isdigit(), (name, watch.now[name]))
        weir.expect(re.match(r"weir version \d", watch.now["version"]), watch.now)
        weir.expect(re.match(r"\d+ seconds$", watch.now["uptime"]), watch.now)
        for name in want - set(NUMBERS) - {"version", "uptime"}:
            weir.expect(re.match(r"\d+\.\d\d$", watch.now[name]), name)
    with tap.case("a client that subscribes to # gets none of them"):
        # [MQTT-4.7.2-1]
        wild = Client(suite.port, "wild")
        for topic_filter in ("#", "+/#", "+/broker/uptime"):
            wild.subscribe(topic_filter, 1)
        seen = watch.now["uptime"]
        watch.until("the next", lambda now: now["uptime"] != seen)
        marker = Client(suite.port, "marker")
        wild.expect_marker(marker, "marker")
        marker.end()
        wild.end()
    with tap.case("what has not changed is not told again"):
        weir.expect(len(watch.told["version"]) == 1, watch.told["version"])
        for name, told in watch.told.items():
            pairs = zip(told, told[1:])
            weir.expect(all(a != b for a, b in pairs), (name, told))
    watch.client.end()


def numbers(tap, suite):
    watch = Watch(suite)
    watch.until("numbers", lambda now: set(NUMBERS) <= set(now))
    # Who was there before has gone.
    watch.until("alone", lambda now: now["clients/total"] == "1")
    told = len(watch.told["uptime"])
    watch.until("settled", lambda now: len(watch.told["uptime"]) > told + 1)

    def becomes(name, value):
        watch.until(
            "%s becomes %s" % (name, value), lambda now: now[name] == str(value)
        )

    before = dict(watch.now)

    def more(name, count):
        becomes(name, int(before[name]) + count)

    with tap.case("clients and subscriptions are counted"):
        keeper = Client(
            suite.port, "keeper", props={"session_expiry_interval": 1000}
        )
        keeper.subscribe("kept/#", 1)
        keeper.subscribe("$share/group/kept/#", 1)
        plain = Client(suite.port, "plain")
        more("clients/connected", 2)
        more("clients/total", 2)
        more("subscriptions/count", 2)
        more("shared_subscriptions/count", 1)
        keeper.end()
        more("clients/connected", 1)
        more("clients/total", 2)
        more("clients/disconnected", 1)
        weir.expect(int(watch.now["clients/maximum"]) >= 3, watch.now)
    with tap.case("messages are: received, sent, retained, stored"):
        plain.publish("retained/a", b"x" * 1000, 1, retain=True)
        plain.publish("retained/b", b"", 1)
        more("publish/messages/received", 2)
        more("publish/bytes/received", 1000)
        more("retained messages/count", 1)
        more("store/messages/count", 1)
        bytes_before = int(before["store/messages/bytes"])
        watch.until(
            "bytes",
            lambda now: 1000 <= int(now["store/messages/bytes"]) - bytes_before < 2000,
        )
        plain.subscribe("retained/#", 0)
        plain.receive("retained/a", b"x" * 1000)
        sent = int(watch.now["publish/bytes/sent"])
        watch.until(
            "bytes sent", lambda now: int(now["publish/bytes/sent"]) >= sent + 1000
        )
    with tap.case("the load rises with what happens"):
        watch.until(
            "load", lambda now: float(now["load/publish/received/1min"]) > 0
            and float(now["load/connections/1min"]) > 0
            and float(now["load/bytes/sent/15min"]) > 0
        )
    with tap.case("an expired session is counted"):
        brief = Client(suite.port, "brief", props={"session_expiry_interval": 1})
        brief.cut()
        more("clients/expired", 1)
    watch.client.end()


def refused(tap, suite):
    with tap.case("nobody else publishes there"):
        watch = Watch(suite, "$SYS/broker/version")
        watch.until("version", lambda now: "version" in now)
        one = Client(suite.port, "liar")
        answer = one.publish("$SYS/broker/version", b"liar", 1, retain=True)
        weir.expect(answer.reason == 0x87, answer)
        bad = Client(suite.port, "w", will=Will("$SYS/broker/version", b"w"))
        weir.expect(bad.connack.reason >= 0x80, bad.connack)
        status = suite.publish("$SYS/broker/version", "liar", retain=True)
        weir.expect(status == 403, status)
        weir.expect(watch.told["version"] == [watch.now["version"]], watch.told)


def clients(tap, suite):
    with tap.case("mosquitto_sub reads them"):
        program = shutil.which("mosquitto_sub")
        if program is None:
            raise weir.Skip("there is no mosquitto_sub")
        for version in ("mqttv311", "mqttv5"):
            got = subprocess.run(
                [program, "-p", str(suite.port), "-V", version, "-C", "1",
                 "-W", "10", "-v", "-t", "$SYS/broker/clients/connected"],
                stdout=subprocess.PIPE, timeout=30, check=True,
            ).stdout.decode()
            weir.expect(
                re.match(r"\$SYS/broker/clients/connected \d+$", got.strip()), got
            )


def journal(tap):
    with weir.Weir(
        sys_interval="200ms", retained_max_messages=1, durability="disk",
        journal={"max_size": "1MiB", "segment_size": "64KiB"},
        max_packet_size=8192,
    ) as suite:
        with tap.case("they are beside the limits, and not in the journal"):
            one = Client(suite.port, "one")
            one.publish("mine", b"kept", 1, retain=True)
            keeper = Client(
                suite.port, "keeper", props={"session_expiry_interval": 1000}
            )
            keeper.subscribe("$SYS/#", 1)
            watch = Watch(suite, "$SYS/broker/uptime")
            watch.until("three times", lambda _: len(watch.told.get("uptime", ())) > 2)
            keeper.end()
            one.end()
            watch.client.end()
            suite.shut_down()
            journal_dir = suite.settings["state_dir"]
            found = subprocess.run(
                ["grep", "-rlF", "$SYS/broker", journal_dir],
                stdout=subprocess.PIPE, check=False,
            ).stdout.decode()
            weir.expect(found == "", found)


def bridges(tap):
    with weir.Weir(sys_interval="200ms", http=None) as far:
        url = "mqtt://127.0.0.1:%d" % far.port
        with weir.Weir(
            sys_interval="200ms",
            bridges=[
                {"name": "all", "type": "mqtt", "url": url,
                 "forward": [{"filter": "#", "qos": 0}]},
                {"name": "some", "type": "mqtt", "url": url,
                 "forward": [{"filter": "$SYS/broker/uptime", "qos": 0,
                              "remote_prefix": "near/"}]},
            ],
        ) as near:
            with tap.case("a bridge gets them if a rule names them, and only so"):
                sub = Client(far.port, "sub", keep_alive=0)
                sub.subscribe("#", 0)
                got = sub.expect(PUBLISH)
                weir.expect(got.topic == "near/$SYS/broker/uptime", got)
                again = sub.expect(PUBLISH)
                weir.expect(again.topic == "near/$SYS/broker/uptime", again)


def off(tap):
    with weir.Weir(sys_interval="0", http=None) as suite:
        with tap.case("with sys_interval 0 there is nothing"):
            one = Client(suite.port, "one")
            one.subscribe("$SYS/#", 0)
            one.nothing()


def main():
    tap = weir.Tap(120)
    with weir.Weir(sys_interval="200ms") as suite:
        names(tap, suite)
        numbers(tap, suite)
        refused(tap, suite)
        clients(tap, suite)
    journal(tap)
    bridges(tap)
    off(tap)
    tap.done()


if __name__ == "__main__":
    main()
