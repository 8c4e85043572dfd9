# SPDX-License-Identifier: Apache-2.0

"""What was measured: kept, summed up, and read back."""

import json
import os
import platform
import statistics
import sys
import time


class Store:
    """The figures of all rounds, by row and peer."""

    def __init__(self, rounds):
        self.date = time.strftime("%Y-%m-%d")
        self.machine = machine()
        self.rounds = rounds
        self.left_out = {}
        self.failures = []
        self.runs = {}  # row: {peer: [{metric: value}]}

    def note(self, row, peer, values):
        if values is None:
            self.failures.append([row, peer])
            values = {}
        numbers = {}
        for name, value in values.items():
            numbers[name] = float(value)
        self.runs.setdefault(row, {}).setdefault(peer, []).append(numbers)

    def figures(self, row, peer, metric):
        """Of all rounds; those that failed have none."""
        runs = self.runs.get(row, {}).get(peer, [])
        return [run[metric] for run in runs if metric in run]

    def peers(self):
        """In the order in which they were measured first."""
        names = []
        for peers in self.runs.values():
            names += [name for name in peers if name not in names]
        return names

    def was_tried(self, row, peer):
        return peer in self.runs.get(row, {})

    def save(self, path):
        """A line for each row, so that a difference can be read."""
        head = {k: v for k, v in self.__dict__.items() if k != "runs"}
        lines = ["%s: %s" % (json.dumps(k), json.dumps(v)) for k, v in head.items()]
        rows = ["%s: %s" % (json.dumps(k), json.dumps(v)) for k, v in self.runs.items()]
        lines.append('"runs": {\n%s\n}' % ",\n".join(rows))
        with open(path, "w", encoding="utf-8") as f:
            f.write("{\n%s\n}\n" % ",\n".join(lines))

    @classmethod
    def load(cls, path):
        store = cls(0)
        with open(path, encoding="utf-8") as f:
            store.__dict__.update(json.load(f))
        return store


def machine():
    """In general words: what the figures depend on."""
    model = "a processor"
    with open("/proc/cpuinfo") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return "%d processors (%s), %d GiB of memory, Linux %s" % (
        len(os.sched_getaffinity(0)),
        model,
        round(pages / 2**30),
        ".".join(platform.release().split(".")[:2]),
    )


def median(values):
    return statistics.median(values)


def progress(begin, done, all_, what):
    """One line that is written over, on a terminal; else one a line."""
    left = ""
    elapsed = time.monotonic() - begin
    if done:
        left = ", %d s left" % (elapsed / done * (all_ - done))
    line = "[%3d/%d%s] %s" % (done, all_, left, what)
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K" + line)
    elif done == all_ or done % 10 == 0:
        sys.stderr.write(line.rstrip() + "\n")
    sys.stderr.flush()
