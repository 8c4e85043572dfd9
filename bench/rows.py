# SPDX-License-Identifier: Apache-2.0

"""What bench/compare measures: a row is a load, a view one figure of it.

A row runs once a round on each peer that can, on a fresh server.  The goals,
and the figures recorded for brokers that no Debian package has, come from one
machine with two processors; `limit` is what a forwarder took there.  How many
messages a publisher has under way decides how much comes in one read, and with
that nearly everything: the windows are those at which bench/limit takes what
was recorded, so that the goals mean the same load.
"""

import base64
import os
import subprocess

from brokers import measure
from peers import HttpLimit, Limit, Weir, pss_kib, settled_pss_kib, weir_suite

RUN_S = 20  # the most that one load may take
IDLE = 9000
MIB = 1024.0


class View:
    """One figure of a row, its goal, and what was recorded elsewhere."""

    def __init__(self, key, title, metric, unit, goal, limit=None, best=None):
        self.key, self.title, self.metric, self.unit = key, title, metric, unit
        self.goal = goal
        self.limit = limit  # recorded
        self.best = best  # recorded: (name, figure) of the best peer
        self.more_is_better = unit == "1/s"

    def better(self, values):
        return max(values) if self.more_is_better else min(values)

    def is_kept(self, value):
        return value >= self.goal if self.more_is_better else value <= self.goal


class Load:
    """bench/load with a pattern."""

    def __init__(self, view, words, messages, needs=(), pinned=False, even=False):
        self.views = [view]
        self.key = view.key
        self.words, self.messages = words.split(), messages
        self.needs = frozenset(needs)
        self.pinned = pinned
        self.even = even  # the fast are given no more messages

    def takes(self, peer):
        return not self.needs & peer.lacks

    def argv(self, peer, port, pids):
        argv = [os.path.join(peer.build, "bench/load"), "-p", str(port)]
        argv += ["-c", ",".join(map(str, pids)), "-t", str(RUN_S)]
        if self.messages:
            pace = min(1, peer.pace) if self.even else peer.pace
            argv += ["-n", str(max(1, int(self.messages * pace)))]
        return argv + self.words

    def run(self, peer):
        cpus = sorted(os.sched_getaffinity(0))
        pinned = self.pinned and len(cpus) > 1
        with peer.run(cpus[:1] if pinned else None) as (port, pids):
            argv = self.argv(peer, port, pids)
            return measure(argv, cpus[1:2] if pinned else None)


class Http:
    """bench/load-http on broker and httpd together."""

    key = "http"
    requests = 60000
    views = [
        View(
            *("http", "HTTP publish, 16 connections, whole suite", "cpu_us"),
            *("µs/request", 12.0, 5.7, ("NanoMQ", 36)),
        ),
        View(
            *("http-rate", "HTTP publish, 16 connections", "per_second"),
            *("1/s", 45000, 66500, ("NanoMQ", 20000)),
        ),
    ]

    def takes(self, peer):
        return isinstance(peer, (Weir, Limit))

    def server(self, peer):
        if isinstance(peer, Limit):
            return HttpLimit(peer.build).run()
        return weir_suite(peer.build, peer.workers)

    def run(self, peer):
        with self.server(peer) as (port, pids):
            basic = base64.b64encode(b"bench:bench").decode()
            argv = [os.path.join(peer.build, "bench/load-http"), "-p", str(port)]
            argv += ["-a", basic, "-c", ",".join(map(str, pids))]
            return measure(argv + ["-t", str(RUN_S), "-n", str(self.requests)])


class Memory:
    """What a broker grows by for clients that have subscribed and do nothing."""

    key = "memory"
    views = [
        View(
            *("memory", "memory per 10,000 idle subscribers", "mib"),
            *("MiB", 10.0, 13.0, ("mosquitto 2.0", 9.9)),
        ),
        View(
            *("memory-left", "of it kept when they have left", "left_mib"),
            *("MiB", 1.0),
        ),
    ]

    def takes(self, peer):
        return True

    def run(self, peer):
        with peer.run() as (port, pids):
            argv = [os.path.join(peer.build, "bench/load"), "-p", str(port)]
            before = pss_kib(pids)
            crowd = subprocess.Popen(
                argv + ["--idle", str(IDLE), "--hold"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            with crowd:
                if not crowd.stdout.readline():
                    return None
                held = settled_pss_kib(pids, 1.0)
                crowd.stdin.close()
            after = settled_pss_kib(pids)
        scale = 10000.0 / IDLE / MIB
        return {
            "mib": (held - before) * scale,
            "left_mib": max(0, after - before) * scale,
        }


class Idle:
    """Everything that has to run, a second after its start."""

    key = "idle"
    views = [
        View(
            *("idle", "idle, all processes", "mib", "MiB", 8.0, None),
            ("NanoMQ", 2.4),
        )
    ]

    def takes(self, peer):
        return not isinstance(peer, Limit)

    def run(self, peer):
        if isinstance(peer, Weir):
            server = weir_suite(peer.build, peer.workers, with_bridge=True)
        else:
            server = peer.run()
        with server as (_, pids):
            return {"mib": settled_pss_kib(pids, 1.5) / MIB}


def load(key, title, goal, words, messages, limit=None, best=None, **more):
    metric = more.pop("metric", "cpu_us")
    unit = more.pop("unit", "µs/delivery")
    view = View(key, title, metric, unit, goal, limit, best)
    return Load(view, words, messages, **more)


ROWS = [
    load(
        *("p2p-0", "p2p QoS 0, 50 pairs", 0.6, "-q 0 -w 20", 1500),
        *(0.31, ("FlashMQ", 0.94)),
    ),
    load(
        *("p2p-1", "p2p QoS 1, 50 pairs", 1.1, "-q 1 -w 20", 1000),
        *(0.61, ("FlashMQ", 1.66)),
    ),
    load(
        *("p2p-2", "p2p QoS 2, 50 pairs", 2.0, "-q 2 -w 20", 500),
        *(1.27, ("FlashMQ", 2.9)),
        needs=["qos2"],
    ),
    load(
        *("window-1", "p2p QoS 1, 1,000 pairs, window 1", 18.0),
        *("-q 1 -P 1000 -S 1000 -T 1000 -w 1", 50),
        *(13.7, ("mosquitto", 21)),
        even=True,
    ),
    load(
        *("large", "p2p QoS 1, 4 KiB", 2.5, "-q 1 -w 20 -s 4096", 600),
        *(1.5, ("FlashMQ", 3.5)),
    ),
    load(
        *("fan-out", "fan-out QoS 1, 5 to 500", 0.8, "-m fan-out -q 1 -w 3", 20),
        *(0.70, ("FlashMQ", 0.90)),
    ),
    load(
        *("fan-in", "fan-in QoS 1, 500 to 2", 1.2, "-m fan-in -q 1 -w 7", 100),
        *(0.84, ("FlashMQ", 1.5)),
    ),
    load(
        *("shared", "shared subscription QoS 1, 500 to 5", 2.0),
        *("-m shared -q 1 -w 7", 100, None, ("FlashMQ", 3.1)),
        needs=["shared"],
    ),
    load(
        *("wildcard", "10 of 1,000 wildcard subscribers match, QoS 0", 4.0),
        *("-m wildcard -q 0", 60, None, ("FlashMQ", 5.6)),
        metric="cpu_publish_us",
        unit="µs/publish",
        needs=["wildcard"],
    ),
    load(
        *("open-loop", "5,000 msg/s open loop, QoS 1", 28.0),
        *("-m open-loop -q 1 -r 5000", 200, 23.0, ("mosquitto", 31)),
        even=True,
    ),
    load(
        *("ping-pong", "ping-pong p50, pinned", 60.0),
        *("-m ping-pong -q 0", 20000, 58.5, ("FlashMQ", 57)),
        even=True,
        metric="p50_us",
        unit="µs",
        pinned=True,
    ),
    Http(),
    Memory(),
    Idle(),
]

# Beside those that have a goal: what is worth seeing, and has none.
MORE = [
    load(
        *("deep-0", "p2p QoS 0, 50 pairs, 100 under way", None),
        *("-q 0 -w 100", 1500),
    ),
    load(
        *("deep-1", "p2p QoS 1, 50 pairs, 100 under way", None),
        *("-q 1 -w 100", 800),
    ),
    load(
        *("deep-fan-out", "fan-out QoS 1, 5 to 500, 100 under way", None),
        *("-m fan-out -q 1 -w 100", 20),
    ),
    load(
        *("retained", "retained: 20 subscribers x 1,000 topics, QoS 1", None),
        *("-m retained -q 1", None),
        needs=["retained"],
    ),
    load(
        *("connect", "connections made and ended", None, "-m connect", None),
        unit="µs/connection",
    ),
    load(
        *("calm", "p99 of p2p QoS 1 at 1,000 msg/s", None, "-q 1 -r 1000", 40),
        metric="p99_us",
        unit="µs",
        even=True,
    ),
    load(
        *("stalled", "beside 1,000 stalled subscribers and 2,000 half-open", None),
        *("-q 1 -r 1000 --stalled 1000 --unread 150 --half-open 2000", 40),
        metric="p99_us",
        unit="µs",
        even=True,
        needs=["stalled"],
    ),
]
