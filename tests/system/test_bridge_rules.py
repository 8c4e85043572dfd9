#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""A bridge's rules from outside: templates, retain, both ways, reload."""

import signal

import weir

REMOTE = "mqtt://127.0.0.1:%d"


def bridge(remote, **more):
    settings = {
        "name": "cloud",
        "url": REMOTE % remote.port,
        "retry_min": "50ms",
        "retry_max": "500ms",
    }
    settings.update(more)
    return settings


def retained(port, topic_filter):
    """Topics of what is retained; a last message tells that it is all."""
    watcher = weir.Collector(port, topic_filter, qos=1)
    client = weir.Mqtt(port, "end")
    client.publish(topic_filter.replace("#", "end"), "end", 1)
    weir.wait_for("the end", lambda: "end" in watcher.payloads())
    watcher.stop()
    client.close()
    return sorted(m.topic for m in watcher.messages if m.retain)


def subscribed(suite, remote, topic):
    """Wait until what the remote publishes there gets here."""
    watcher = weir.Collector(suite.port, "#", qos=1)
    client = weir.Mqtt(remote.port, "probe")

    def here():
        client.publish(topic, "probe", 1)
        return "probe" in watcher.payloads()

    weir.wait_for("the bridge has subscribed to " + topic, here, pause=0.1)
    client.close()
    watcher.stop()


def templates(tap, protocol):
    rules = {
        "forward": [
            {"filter": "+/temp/#", "local_prefix": "plant/",
             "remote_topic": "site7/{1}/{rest}"},
            {"filter": "raw/#", "remote_topic": "all/{topic}"},
        ],
        "receive": [
            {"filter": "to/+/#", "local_topic": "from/{rest}/{1}"},
        ],
        "protocol": protocol,
    }
    with weir.Mosquitto() as remote, weir.Weir(bridges=[bridge(remote, **rules)]) as suite:
        there = weir.Collector(remote.port, "#", qos=1)
        here = weir.Collector(suite.port, "from/#", qos=1)
        subscribed(suite, remote, "to/x/probe")
        with tap.case(protocol + ": a template names the topic at the remote"):
            for topic in ("plant/oven/temp/a/b", "plant/oven/temp", "raw/x"):
                weir.expect(suite.publish(topic, topic) == 200, topic)
            want = {
                "plant/oven/temp/a/b": "site7/oven/a/b",
                "plant/oven/temp": "site7/oven",
                "raw/x": "all/raw/x",
            }
            weir.wait_for("all are there", lambda: set(want) <= set(there.payloads()))
            for message in there.messages:
                text = message.payload.decode()
                weir.expect(
                    want.get(text, message.topic) == message.topic, message.topic
                )
        with tap.case(protocol + ": a template names the topic here"):
            client = weir.Mqtt(remote.port, "far")
            client.publish("to/a/b/c", "levels", 1)
            weir.wait_for("it is here", lambda: "levels" in here.payloads())
            topic = next(m.topic for m in here.messages if m.payload == b"levels")
            weir.expect(topic == "from/b/c/a", topic)
            client.close()
        there.stop()
        here.stop()


def retain(tap, protocol):
    rules = {
        "forward": [
            {"filter": "keep/#"},
            {"filter": "clear/#", "retain": "clear"},
            {"filter": "set/#", "retain": "set"},
        ],
        "receive": [
            {"filter": "new/#", "retain_handling": "new"},
            {"filter": "never/#", "retain_handling": "never"},
        ],
        "protocol": protocol,
    }
    with weir.Mosquitto() as remote:
        far = weir.Mqtt(remote.port, "far")
        for topic in ("new/a", "never/a"):
            far.publish(topic, "retained", 1, retain=True)
        with weir.Weir(bridges=[bridge(remote, **rules)]) as suite:
            client = suite.mqtt("near")
            with tap.case(protocol + ": the retain flag is kept, cleared or set"):
                for flag in (True, False):
                    for rule in ("keep", "clear", "set"):
                        client.publish(
                            "%s/%d" % (rule, flag), "x", 1, retain=flag
                        )
                weir.wait_for(
                    "all are there", lambda: suite.ring_is("broker→cloud", used=0)
                )
                got = [
                    topic
                    for rule in ("keep", "clear", "set")
                    for topic in retained(remote.port, rule + "/#")
                ]
                weir.expect(got == ["keep/1", "set/0", "set/1"], got)
            with tap.case(protocol + ": what is retained comes as the rule says"):
                weir.wait_for(
                    "it comes", lambda: retained(suite.port, "new/#") == ["new/a"]
                )
                subscribed(suite, remote, "never/probe")
                got = retained(suite.port, "never/#")
                weir.expect(got == [], got)
        far.close()


def both(tap):
    rules = {"both": [{"filter": "x/#", "qos": 1, "remote_prefix": "far/"}]}
    for protocol in ("3.1.1", "5.0"):
        with weir.Mosquitto() as remote, weir.Weir(
            bridges=[bridge(remote, protocol=protocol, **rules)]
        ) as suite:
            there = weir.Collector(remote.port, "#", qos=1)
            here = weir.Collector(suite.port, "#", qos=1)
            subscribed(suite, remote, "far/x/probe")
            with tap.case(protocol + ": one rule for both directions, no echo"):
                weir.expect(suite.publish("x/out", "out") == 200, "status")
                far = weir.Mqtt(remote.port, "far")
                far.publish("far/x/in", "in", 1)
                for text in ("out", "in"):
                    for side in (there, here):
                        weir.wait_for(text, lambda: text in side.payloads())
                # What came back would be before this, on its way round.
                far.publish("far/x/in", "end", 1)
                weir.wait_for("the end", lambda: "end" in here.payloads())
                for side in (there, here):
                    got = [p for p in side.payloads() if p in ("in", "out")]
                    weir.expect(sorted(got) == ["in", "out"], got)
                far.close()
            there.stop()
            here.stop()


def reload(tap):
    with weir.Mosquitto() as remote, weir.Weir(
        bridges=[bridge(remote, receive=[{"filter": "a/#"}, {"filter": "b/#"}])]
    ) as suite:
        subscribed(suite, remote, "a/1")
        before = len(suite.lines("bridge_connected"))
        pid = suite.pid("weir-bridged", "cloud")
        suite.settings["bridges"][0]["receive"] = [
            {"filter": "b/#"},
            {"filter": "c/#", "local_topic": "see/{rest}"},
        ]
        with open(suite.config, "w") as f:
            f.write(weir.libconfig(suite.settings))
        suite.child.send_signal(signal.SIGHUP)
        with tap.case("reload: a new rule is subscribed to"):
            subscribed(suite, remote, "c/1")
        with tap.case("reload: what no rule has any more is left"):
            far = weir.Mqtt(remote.port, "far")
            watcher = weir.Collector(suite.port, "#", qos=1)
            far.publish("a/1", "gone", 1)
            far.publish("b/1", "kept", 1)
            far.publish("c/1", "mapped", 1)
            weir.wait_for("it is here", lambda: "mapped" in watcher.payloads())
            got = [(m.topic, m.payload) for m in watcher.messages]
            weir.expect(got == [("b/1", b"kept"), ("see/1", b"mapped")], got)
            watcher.stop()
            far.close()
        with tap.case("reload: without a new connection"):
            weir.expect(len(suite.lines("bridge_connected")) == before, "reconnected")
            weir.expect(suite.pid("weir-bridged", "cloud") == pid, "restarted")


def main():
    tap = weir.Tap()
    for name, group, arguments in (
        ("templates, MQTT 3.1.1", templates, ["3.1.1"]),
        ("templates, MQTT 5.0", templates, ["5.0"]),
        ("retain, MQTT 3.1.1", retain, ["3.1.1"]),
        ("retain, MQTT 5.0", retain, ["5.0"]),
        ("both", both, []),
        ("reload", reload, []),
    ):
        with tap.case(name + ": the suite starts, and ends in order"):
            group(tap, *arguments)
    tap.done()


if __name__ == "__main__":
    main()
