# SPDX-License-Identifier: Apache-2.0

"""What a delivery costs beside more and more of what it has nothing to do with."""

import os
import resource
import time

from brokers import measure
from peers import Mosquitto, Weir
from results import Store, progress

SIZES = [10, 1000, 100000]
KINDS = [
    ("idle", "--idle", "idle clients"),
    ("unrelated", "--unrelated", "subscriptions that do not match"),
    ("retained", "--other-retained", "retained messages not asked for"),
    ("queued", "--queued", "queued messages of another"),
]
FLAT = 1.25  # the most that the largest may cost, in the smallest
LOAD = "-q 1 -w 20 -n 1000 -t 30"
SPARE = 300  # descriptors that pairs and the broker itself need


def sizes(kind):
    """Clients need a descriptor each, here and in the broker."""
    if kind != "idle":
        return SIZES
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1] - SPARE
    return sorted({min(size, most) for size in SIZES})


def peers(build):
    found = [Weir(build, 1, "process"), Weir(build, 2, "process"), Mosquitto(build)]
    return [peer for peer in found if peer.missing() is None]


def run(peer, option, size):
    with peer.run() as (port, pids):
        pace = max(1, peer.pace / 2)
        argv = [os.path.join(peer.build, "bench/load"), "-p", str(port)]
        argv += ["-c", ",".join(map(str, pids))] + LOAD.split()
        argv[argv.index("-n") + 1] = str(int(1000 * pace))
        return measure(argv + [option, str(size)])


def measure_round(build, store, done, all_, begin, kinds):
    for kind, option, _ in kinds:
        for size in sizes(kind):
            for peer in peers(build):
                progress(begin, done, all_, "growth: %d %s" % (size, kind))
                store.note("%s/%d" % (kind, size), peer.name, run(peer, option, size))
                done += 1
    return done


def measure_growth(build, rounds, kinds=KINDS):
    store = Store(rounds)
    turns = rounds * sum(len(sizes(kind[0])) for kind in kinds) * len(peers(build))
    begin, done = time.monotonic(), 0
    for _ in range(rounds):
        done = measure_round(build, store, done, turns, begin, kinds)
    progress(begin, turns, turns, "done\n")
    return store


def cost(store, kind, size, peer):
    figures = store.figures("%s/%d" % (kind, size), peer, "cpu_us")
    return min(figures) if figures else None


def lines(store, kind):
    """{peer: [(size, cost)]}, of what was measured."""
    found = {}
    for peer in store.peers():
        for row in store.runs:
            name, size = row.split("/")
            value = cost(store, kind, int(size), peer) if name == kind else None
            if value:
                found.setdefault(peer, []).append((int(size), value))
        if peer in found:
            found[peer].sort()
    return found


def rise(line):
    return line[-1][1] / line[0][1]


def rows(store):
    """(what, peer, [(size, cost)], rise, is it flat?)"""
    found = []
    for kind, _, label in KINDS:
        for peer, line in lines(store, kind).items():
            if len(line) > 1:
                found.append((label, peer, line, rise(line), rise(line) <= FLAT))
    return found


def is_flat(store):
    return all(flat for _, peer, _, _, flat in rows(store) if peer.startswith("weir"))


def table(store):
    text = ["", "processor microseconds of the broker per delivery, QoS 1, 50 pairs,"]
    text.append("beside the least, more and the most of what should not matter")
    for label, peer, line, risen, flat in rows(store):
        text.append(
            "%-34s %-16s %s  x %.2f %s"
            % (
                *(label, peer),
                "  ".join("%6d: %6.2f" % point for point in line),
                *(risen, "flat" if flat else "RISES"),
            )
        )
    return "\n".join(text)
