#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""Lanes: what may stall apart travels apart, idle ones are closed, filters
change under traffic, and a broker that is killed hands over exactly once."""

import json
import signal
import threading

import weir

KILLS = 4


def bridge(name, remote, filters, qos=1, **more):
    return {
        "name": name,
        "url": "mqtt://127.0.0.1:%d" % remote.port,
        "forward": [{"filter": f, "qos": qos} for f in filters],
        "ring": {"capacity": "64KiB", "max_capacity": "64KiB"},
        "retry_max": "1s",
        **more,
    }


def lane_sets(suite):
    prefix = "httpd→broker/"
    return {r["name"][len(prefix) :] for r in suite.rings() if r["name"].startswith(prefix)}


def reconfigure(suite, text=None, **keys):
    """Other keys, or another text; the programs are told."""
    suite.settings.update(keys)
    with open(suite.config, "w") as f:
        f.write(weir.libconfig(suite.settings) if text is None else text)
    suite.child.send_signal(signal.SIGHUP)


def publish_for(suite, topic, payload, seconds=4):
    """The status; None for the one message that is in the lane and waits."""
    connection = weir.Http(suite.http_port, timeout=seconds)
    try:
        message = json.dumps({"topic": topic, "payload": payload, "qos": 1})
        return connection.request("POST", "/api/v4/mqtt/publish", message)[0]
    except (OSError, EOFError):
        return None
    finally:
        connection.close()


class Traffic(threading.Thread):
    """Numbered messages, one after the other; knows which were answered 200."""

    def __init__(self, suite, topic):
        super().__init__(daemon=True)
        self.suite, self.topic = suite, topic
        self.accepted, self.others = [], []
        self.is_over = threading.Event()
        self.start()

    def run(self):
        number = 0
        while not self.is_over.is_set():
            text = "n%06d" % number
            number += 1
            try:
                code = self.suite.publish(self.topic, text)
            except (OSError, EOFError):
                code = None
            (self.accepted if code == 200 else self.others).append(text)

    def wait_more(self, count=20):
        goal = len(self.accepted) + count
        weir.wait_for("%d more are accepted" % count, lambda: len(self.accepted) >= goal)

    def stop(self):
        self.is_over.set()
        self.join()


def numbered(collector):
    return [p for p in collector.payloads() if p.startswith("n")]


def overlapping(tap, suite, a, b, at_a, at_b):
    for topic in ("a/x", "b/x", "ab/x"):
        weir.expect(suite.publish(topic, "first " + topic) == 200, topic)
    with tap.case("each set of bridges has a lane of its own"):
        weir.wait_for("the lanes are there", lambda: lane_sets(suite) >= {"a", "b", "a+b"})
    with tap.case("each message goes to the bridges of its set"):
        at_a.wait_count(2)
        at_b.wait_count(2)
        weir.expect(set(at_a.payloads()) == {"first a/x", "first ab/x"}, at_a.payloads())
        weir.expect(set(at_b.payloads()) == {"first b/x", "first ab/x"}, at_b.payloads())

    a.stop()
    with tap.case("a remote that stands still stops its lanes"):
        accepted = {"a/x": 0, "ab/x": 0}
        for topic in accepted:

            def is_refused(topic=topic):
                code = publish_for(suite, topic, "n%06d" % accepted[topic] + "x" * 4000)
                accepted[topic] += code == 200
                return code == 429

            weir.wait_for(topic + " is refused", is_refused, 90)
    with tap.case("the other lane goes on"):
        for number in range(100):
            weir.expect(suite.publish("b/x", "b%d" % number) == 200, "b%d" % number)
        weir.wait_for("they arrive", lambda: "b99" in at_b.payloads())
    a.go_on()
    with tap.case("what was accepted arrives when it goes on"):
        weir.wait_for("all arrive", lambda: len(numbered(at_a)) >= sum(accepted.values()))


def idle_lanes(tap, suite, at_b):
    with tap.case("idle lanes are closed, and weirctl shows them no more"):
        weir.wait_for("they are gone", lambda: not lane_sets(suite))
        weir.expect(suite.logged("event=lane_closed"), "the log does not say so")
    with tap.case("a slot is used again"):
        weir.expect(suite.publish("b/x", "again") == 200, "it is refused")
        weir.wait_for("it arrives", lambda: "again" in at_b.payloads())


def lanes(tap):
    with weir.Mosquitto() as a, weir.Mosquitto() as b:
        bridges = [bridge("a", a, ["a/#", "ab/#"]), bridge("b", b, ["b/#", "ab/#"])]
        # Little of what is committed waits: each is tried for seconds.
        with weir.Weir(
            bridges=bridges, lane_idle="500ms", worker_window="16KiB"
        ) as suite:
            at_a = weir.Collector(a.port, "#", qos=1)
            at_b = weir.Collector(b.port, "#", qos=1)
            overlapping(tap, suite, a, b, at_a, at_b)
            idle_lanes(tap, suite, at_b)
            at_a.stop()
            at_b.stop()


def payloads_of(there, topic):
    return [
        m.payload.decode(errors="replace") for m in list(there.messages) if m.topic == topic
    ]


def is_used_no_more(suite, there):
    """A message to the old topic does not arrive, a later one does."""
    mark = "mark%d" % len(there.messages)
    for topic in ("old/probe", "new/probe"):
        weir.expect(suite.publish(topic, mark) == 200, topic + " is refused")
    weir.wait_for("the mark arrives", lambda: mark in payloads_of(there, "new/probe"))
    return mark not in payloads_of(there, "old/probe")


def change_filters(tap, suite, remote, old, new, there):
    reconfigure(suite, bridges=[bridge("a", remote, ["old/#", "new/#"])])
    with tap.case("a filter that was added is used"):
        weir.wait_for("the new topic arrives", lambda: payloads_of(there, "new/n"))
        new.wait_more()
        old.wait_more()
    old.stop()
    with tap.case("no message of a filter that stays was lost, and order held"):
        weir.wait_for(
            "the last one arrives", lambda: old.accepted[-1] in payloads_of(there, "old/n")
        )
        weir.expect(payloads_of(there, "old/n") == old.accepted, "they differ")
    reconfigure(suite, bridges=[bridge("a", remote, ["new/#"])])
    with tap.case("a filter that was taken out is used no more"):
        weir.wait_for("it is not", lambda: is_used_no_more(suite, there))


def wrong_files(tap, suite, remote, new):
    with open(suite.config) as f:
        right = f.read()
    reconfigure(suite, text=right + "\nworkers = many;\n")
    line = right.count("\n") + 2
    with tap.case("a wrong configuration is refused with its line, and the old one stays"):
        weir.wait_for("it is refused", lambda: suite.logged("event=reload_refused"))
        weir.expect(
            suite.logged("%s:%d:" % (suite.config, line)), "the line %d is not named" % line
        )
        new.wait_more()
    other = bridge("other", remote, ["x/#"])
    reconfigure(suite, bridges=[bridge("a", remote, ["new/#"]), other])
    with tap.case("a bridge that was added needs a restart, and the log says so"):
        weir.wait_for(
            "it does", lambda: suite.logged('key="bridges.other"')
        )
        new.wait_more()


def filters(tap):
    with weir.Mosquitto() as remote:
        with weir.Weir(bridges=[bridge("a", remote, ["old/#"])]) as suite:
            there = weir.Collector(remote.port, "#", qos=1)
            old, new = Traffic(suite, "old/n"), Traffic(suite, "new/n")
            old.wait_more()
            new.wait_more()
            change_filters(tap, suite, remote, old, new, there)
            wrong_files(tap, suite, remote, new)
            new.stop()
            with tap.case("since a filter is used, no message was lost, and order held"):
                weir.wait_for(
                    "the last one arrives",
                    lambda: new.accepted[-1] in payloads_of(there, "new/n"),
                )
                got = payloads_of(there, "new/n")
                weir.expect(got == new.accepted[-len(got) :], "they differ")
            there.stop()
            suite.expect_exit = None
            suite.child.send_signal(signal.SIGTERM)
            suite.child.wait(timeout=15)


def killed(tap):
    """QoS 2 to the remote: what arrives twice was twice in the ring."""
    with weir.Mosquitto() as remote:
        with weir.Weir(bridges=[bridge("a", remote, ["a/#"], qos=2)]) as suite:
            there = weir.Collector(remote.port, "#", qos=2)
            traffic = Traffic(suite, "a/n")
            for _ in range(KILLS):
                traffic.wait_more(50)
                broker = suite.pid("weir-broker")
                weir.kill(broker, signal.SIGKILL)
                weir.wait_for(
                    "the broker is back",
                    lambda: [p for p in suite.pids("weir-broker") if p != broker],
                )
                traffic.wait_more(20)
            traffic.stop()
            with tap.case("kill -9 of the broker: all that was answered 200 arrives"):
                weir.wait_for(
                    "the last arrives", lambda: traffic.accepted[-1] in there.payloads()
                )
                missing = set(traffic.accepted) - set(there.payloads())
                weir.expect(not missing, "%d are missing" % len(missing))
            with tap.case("kill -9 of the broker: once, and in order"):
                got = there.payloads()
                weir.expect(
                    len(got) == len(set(got)), "%d came again" % (len(got) - len(set(got)))
                )
                weir.expect(got == sorted(got), "the order is another one")
            tap.note("%d accepted, %d not" % (len(traffic.accepted), len(traffic.others)))
            there.stop()


def main():
    tap = weir.Tap()
    lanes(tap)
    filters(tap)
    killed(tap)
    tap.done()


if __name__ == "__main__":
    main()
