# SPDX-License-Identifier: Apache-2.0

"""flood_scene - one flood against a remote in trouble, and all seen of it.

Two bridges: "cloud", whose remote gets into trouble, takes bridge/#; "plant",
whose remote is well, takes plant/#.  Sixteen HTTP connections and eight MQTT
publishers flood cloud, as fast as they are answered.
"""

import base64
import contextlib
import json
import os
import time

import flooding
import weir

HTTP_CONNECTIONS = 16
PUBLISHERS = 4  # of each QoS, 1 and 2
STALL_TIMEOUT_MS = 1500
RING = {"capacity": "64KiB", "max_capacity": "256KiB"}
BACKLOG = "1MiB"


class Scripted:
    """bench/remote as the remote of cloud."""

    def __init__(self, begin, end):
        self.remote = flooding.Remote()
        self.port = self.remote.port
        self.begin = lambda: begin and self.remote.tell(begin)
        self.end = lambda: end and self.remote.tell(end)
        self.witness = self.remote

    def watch(self):
        pass

    def close(self):
        self.remote.__exit__()


class Stopped:
    """A real mosquitto that is stopped with SIGSTOP."""

    def __init__(self):
        self.remote = weir.Mosquitto()
        self.port = self.remote.port
        self.begin = self.remote.stop
        self.end = self.remote.go_on
        self.witness = None

    def watch(self):
        self.witness = flooding.Witness(self.remote)

    def close(self):
        if self.witness is not None:
            self.witness.stop()
        self.remote.__exit__()


REMOTES = {
    "healthy": lambda: Scripted(None, None),
    "stopped": Stopped,
    "stalled": lambda: Scripted("stall", "go"),
    "never acknowledging": lambda: Scripted("mute", "ack"),
    "dead": lambda: Scripted("close", "listen"),
}


def configuration(cloud_port, plant_port, overflow):
    """Limits as tight as the flood allows, so that the bound says something."""

    def bridge(name, port, topic, **more):
        rules = [
            {"filter": topic + "/q2/#", "qos": 2},
            {"filter": topic + "/q1/#", "qos": 1},
            {"filter": topic + "/x", "qos": 1},
        ]
        return dict(
            name=name,
            type="mqtt",
            url="mqtt://127.0.0.1:%d" % port,
            forward=rules,
            ring=RING,
            overflow=overflow,
            **more
        )

    return dict(
        durability=os.environ.get("WEIR_DURABILITY", "process"),
        max_connections=64,
        max_queued_messages=4000,
        max_queued_bytes="2MiB",
        retained_max_bytes="1MiB",
        http={
            "stall_timeout": "%dms" % STALL_TIMEOUT_MS,
            "ring": RING,
            "max_connections": 64,
            "max_pending": 64,
        },
        bridges=[
            bridge("cloud", cloud_port, "bridge", backlog=BACKLOG),
            bridge("plant", plant_port, "plant", backlog=BACKLOG),
        ],
    )


class Scene:
    """Runs when it is made; the fields say what was seen."""

    def __init__(
        self,
        remote,
        flood_s=5.0,
        trouble_at_s=1.0,
        trouble_s=6.0,
        kills=(),
        most=6000,
        settle_s=40,
        overflow="stall",
        more=(),
    ):
        self.more = list(more)  # options of bench/flood-clients
        self.kills = sorted(kills)
        self.killed = []
        self.flood_s, self.most, self.settle_s = flood_s, most, settle_s
        self.trouble_at_s, self.trouble_s = trouble_at_s, trouble_s
        self.in_trouble = remote != "healthy"
        with contextlib.ExitStack() as stack:
            self.cloud = REMOTES[remote]()
            stack.callback(self.cloud.close)
            self.plant = stack.enter_context(flooding.Remote())
            self.suite = stack.enter_context(
                weir.Weir(
                    **configuration(self.cloud.port, self.plant.port, overflow)
                )
            )
            self.run()

    def run(self):
        suite = self.suite
        neighbours = flooding.Neighbours(suite, with_mqtt=not self.kills)
        self.cloud.watch()
        self.warm_up()
        self.before = flooding.own(suite)
        memory = flooding.Memory(suite)
        self.bound = None
        self.clients = flooding.Clients(suite.box, *self.flood_options())
        self.started = time.monotonic()
        self.play()
        self.done = self.clients.wait(self.flood_s + self.settle_s + 20)
        self.seen = neighbours.end()
        self.await_drain()
        self.judge()
        memory.end()
        self.memory = memory
        time.sleep(5)
        self.after = flooding.own(suite)
        self.rings = suite.rings()

    def warm_up(self):
        """So that the sessions are there, and every way was gone once."""
        options = self.flood_options()
        options[options.index("-n") + 1] = 100
        flooding.Clients(self.suite.box, *options, "-T", "plant").wait(30)
        time.sleep(1)

    def flood_options(self):
        basic = base64.b64encode(b"admin:public").decode()
        return [
            "-w", self.suite.http_port, "-c", HTTP_CONNECTIONS,
            "-a", "Basic " + basic, "-m", self.suite.port,
            "-1", PUBLISHERS, "-2", PUBLISHERS, "-n", self.most,
            "-t", int(self.flood_s), "-S", self.settle_s,
            "-y", STALL_TIMEOUT_MS,
        ] + self.more

    # -------------------------------------------------- what happens when

    def at(self, seconds):
        """Wait until so long after the flood began, kills on the way."""
        while True:
            now = time.monotonic() - self.started
            if self.kills and now > self.kills[0][0]:
                self.kill(self.kills.pop(0)[1])
            elif now > seconds:
                return
            self.look()
            time.sleep(0.05)

    def kill(self, name):
        pids = weir.wait_for(name + " is up", lambda: self.suite.pids(name))
        weir.kill(pids[0], weir.signal.SIGKILL)
        self.killed.append(name)

    def look(self):
        """What status computes with all clients there."""
        if self.bound is None and time.monotonic() > self.started + 0.5:
            status = self.suite.ctl("status", "--json", check=False)
            if status and json.loads(status).get("answers"):
                self.bound = json.loads(status)["memory"]["bound"]

    def play(self):
        self.back_after = None
        if not self.in_trouble:
            self.at(self.flood_s)
        else:
            self.at(self.trouble_at_s)
            self.cloud.begin()
            self.at(self.trouble_at_s + self.trouble_s)
            count = None if self.is_stopped() else self.cloud.witness.count()
            self.cloud.end()
            self.back_after = self.time_until_more(count)
        if self.kills:
            self.at(self.kills[-1][0] + 0.2)

    def is_stopped(self):
        return isinstance(self.cloud, Stopped)

    def time_until_more(self, count):
        """How long after its return the remote is given something."""
        began = time.monotonic()
        if count is None:
            count = self.cloud.witness.count()
        with contextlib.suppress(AssertionError):
            weir.wait_for(
                "the drain begins",
                lambda: self.cloud.witness.count() > count,
                15,
            )
        return time.monotonic() - began

    # -------------------------------------------------- what came of it

    def await_drain(self):
        """Until what must arrive is there, or nothing more comes."""
        accepted = self.done["accepted"]
        count, since = -1, time.monotonic()
        while time.monotonic() < since + 10:
            now = self.cloud.witness.count()
            if now != count:
                count, since = now, time.monotonic()
            if now >= accepted and self.is_quiet():
                break
            time.sleep(0.1)
        self.drained_s = time.monotonic() - self.started

    def is_quiet(self):
        rings = self.suite.rings()
        return bool(rings) and all(r["used"] == 0 for r in rings)

    def judge(self):
        self.producers = self.clients.producers()
        self.verdict = flooding.judge(
            self.producers, self.cloud.witness.arrivals()
        )
        self.plant_wrong = self.judge_plant()

    def judge_plant(self):
        """What the other bridge did wrong: the same rules."""
        plant = self.seen["plant"]
        accepted = set(plant["accepted"])
        outcomes = "".join(
            "a" if number in accepted else "u"
            for number in range(sum(plant["outcomes"].values()))
        )
        name = plant["producer"]
        one = flooding.Producer(name, "plant/x", 1, 0, 0, outcomes)
        mine = [a for a in self.plant.arrivals() if a.producer == name]
        return flooding.judge([one], mine).wrong()

    def refused_beside(self):
        """429 at those who have nothing to do with it."""
        return {
            name: seen["outcomes"].get(429, 0)
            for name, seen in self.seen.items()
            if "outcomes" in seen
        }

    def not_given_back(self):
        """KiB before and after, of those that kept more than a fifth."""
        return {
            name: (size, self.after.get(name, 0))
            for name, size in self.before.items()
            if self.after.get(name, 0) > size * 1.2
        }

    def rings_grown(self):
        """Lanes that are not as small again as they were."""
        return {
            ring["name"]: ring["capacity"]
            for ring in self.rings
            if ring["capacity"] > 65536
        }

    def report(self, tap, title):
        done, seen = self.done, self.seen
        tap.note("%s: %s" % (title, self.verdict.text()))
        tap.note(
            "  " + ", ".join(
                "%s %d" % (key[4:] if key.startswith("http") else key, value)
                for key, value in done.items()
                if key.startswith("http")
                or key in ("rude", "errors", "resent", "reconnects")
            )
            + "; killed: %s" % (", ".join(self.killed) or "nobody")
        )
        tap.note(
            "  refused late by p50 %.1f ms, p99 %.1f ms (%d), at once %d"
            % (
                done["late_p50_us"] / 1e3, done["late_p99_us"] / 1e3,
                done["late"], done["at_once"],
            )
        )
        if self.back_after is not None:
            tap.note("  the drain began %.2f s after the return" % self.back_after)
        for name, one in seen.items():
            tap.note(
                "  beside, %s: p50 %.2f ms, p99 %.2f ms, max %.1f ms %s"
                % (name, one["p50"], one["p99"], one["max"], one.get("outcomes", ""))
            )
        tap.note(
            "  KiB with rings at most %r, bound %d; own before %r, own 5 s after the "
            "drain %r"
            % (dict(self.memory.most), self.bound // 1024, self.before, self.after)
        )
