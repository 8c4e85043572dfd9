#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""kill -9 of the broker: what its rings hold survives in its supervisor."""

import signal

import weir

RING = {"capacity": "256KiB", "max_capacity": "256KiB"}
COUNT = 300


def settings(remote):
    return {
        "bridges": [
            {
                "name": "cloud",
                "url": "mqtt://127.0.0.1:%d" % remote.port,
                "forward": [{"filter": "cloud/#", "qos": 1}],
                "ring": RING,
                "retry_max": "1s",
            }
        ]
    }


def killed_with_full_rings(tap, victims):
    what = " and ".join(victims)
    with weir.Mosquitto() as remote, weir.Weir(**settings(remote)) as suite:
        there = weir.Collector(remote.port, "cloud/#", qos=1)
        suite.publish("cloud/n", "warm-up")
        there.wait_count(1)
        remote.stop()
        accepted = [
            number
            for number in range(COUNT)
            if suite.publish("cloud/n", "n%d" % number) == 200
        ]
        tap.ok(
            len(accepted) == COUNT,
            what + ": the ring takes them while the remote stands still",
        )
        pids = [suite.pid(name) for name in victims]
        for pid in pids:
            weir.kill(pid, signal.SIGKILL)
        with tap.case(what + ": the supervisor starts them again"):
            for name, pid in zip(victims, pids):
                weir.wait_for(
                    name + " is back",
                    lambda: [p for p in suite.pids(name) if p != pid],
                )
            suite.wait_ready()
        remote.go_on()
        with tap.case(what + ": all that was answered 200 arrives, in order"):
            weir.wait_for(
                "the last arrives", lambda: "n%d" % accepted[-1] in there.payloads()
            )
            got = [p for p in there.payloads() if p.startswith("n")]
            first_seen = list(dict.fromkeys(got))
            weir.expect(
                first_seen == ["n%d" % number for number in accepted],
                "%d of %d" % (len(first_seen), len(accepted)),
            )
            tap.note("%d arrived, %d of them again" % (len(got), len(got) - len(first_seen)))
        with tap.case(what + ": the flow is back"):
            weir.wait_for(
                "a new message arrives",
                lambda: suite.publish("cloud/n", "new") == 200
                and "new" in there.payloads(),
            )
        there.stop()


def bridge_that_never_came(tap):
    with weir.Mosquitto() as remote, weir.Weir(**settings(remote)) as suite:
        there = weir.Collector(remote.port, "cloud/#", qos=1)
        # A stopped bridge whose broker is new has never attached to it.
        bridge = suite.pid("weir-bridged")
        weir.kill(bridge, signal.SIGSTOP)
        broker = suite.pid("weir-broker")
        weir.kill(broker, signal.SIGKILL)
        weir.wait_for(
            "the broker is back",
            lambda: [p for p in suite.pids("weir-broker") if p != broker],
        )
        with tap.case("a bridge that is away: its ring takes messages all the same"):
            weir.wait_for(
                "HTTP is answered 200",
                lambda: suite.publish("cloud/n", "early") == 200,
            )
        weir.kill(bridge, signal.SIGCONT)
        with tap.case("a bridge that is away: it finds them when it comes"):
            weir.wait_for("it arrives", lambda: "early" in there.payloads())
        there.stop()


def main():
    tap = weir.Tap()
    for victims in (
        ("weir-broker",),
        ("weir-broker", "weir-bridged"),
        ("weir-broker", "weir-httpd", "weir-bridged"),
    ):
        with tap.case("the suite ends in order after kill -9 of " + " and ".join(victims)):
            killed_with_full_rings(tap, victims)
    with tap.case("the suite ends in order with a bridge that was away"):
        bridge_that_never_came(tap)
    tap.done()


if __name__ == "__main__":
    main()
