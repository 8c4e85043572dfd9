#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""kill -9 of the broker: what its rings hold survives.

Its supervisor keeps them; without one the programs that are alive do, and
hand them back to the next broker."""

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


class ByHand(weir.Weir):
    """The programs of a suite that nobody supervises."""

    def start(self):
        self.children = {}
        for name in ("weir-broker", "weir-httpd", "weir-bridged"):
            self.start_one(name)
        self.child = self.children["weir-broker"]

    def start_one(self, name):
        more = ["cloud"] if name == "weir-bridged" else []
        with open(self.log, "ab") as log:
            self.children[name] = self.box.spawn(
                [weir.program(name), "-c", self.config, *more], log
            )

    def kill_broker(self):
        self.children["weir-broker"].kill()
        self.children["weir-broker"].wait()

    def start_broker(self):
        self.start_one("weir-broker")
        self.child = self.children["weir-broker"]

    def shut_down(self, seconds=15):
        status = 0
        for name in ("weir-httpd", "weir-broker", "weir-bridged"):
            self.children[name].send_signal(signal.SIGTERM)
            status = status or self.children[name].wait(timeout=seconds)
        return status


def killed_without_a_supervisor(tap):
    what = "nobody keeps the rings: "
    with weir.Mosquitto() as remote, ByHand(**settings(remote)) as suite:
        there = weir.Collector(remote.port, "cloud/#", qos=1)
        suite.publish("cloud/n", "warm-up")
        there.wait_count(1)
        remote.stop()
        numbers = iter(range(10 * COUNT))
        accepted = []
        for life in range(3):
            for _ in range(COUNT // 3):
                number = next(numbers)
                if suite.publish("cloud/n", "n%d" % number) == 200:
                    accepted.append(number)
            suite.kill_broker()
            suite.start_broker()
            suite.wait_ready()
        with tap.case(what + "living programs hand them back"):
            weir.expect(len(accepted) == COUNT, len(accepted))
            weir.expect(suite.logged("event=ring_adopted"), "no ring adopted")
        remote.go_on()
        with tap.case(what + "all that was answered 200 arrives, in order"):
            weir.wait_for(
                "the last arrives", lambda: "n%d" % accepted[-1] in there.payloads()
            )
            got = [p for p in there.payloads() if p.startswith("n")]
            weir.expect(
                list(dict.fromkeys(got)) == ["n%d" % number for number in accepted],
                "%d of %d" % (len(got), len(accepted)),
            )
            # What the remote had not acknowledged goes to it again.
            weir.expect(len(got) <= len(accepted) + 3 * 20, len(got))
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
    with tap.case("programs without a supervisor end in order"):
        killed_without_a_supervisor(tap)
    with tap.case("the suite ends in order with a bridge that was away"):
        bridge_that_never_came(tap)
    tap.done()


if __name__ == "__main__":
    main()
