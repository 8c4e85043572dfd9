#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""bench/compare, growth and stalled: what they measure, judge, write and draw."""

import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

import weir

BENCH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../bench")
sys.path.insert(0, BENCH)

import growing  # noqa: E402
import report  # noqa: E402
from results import Store  # noqa: E402
from rows import MORE, ROWS  # noqa: E402

VIEW = ROWS[0].views[0]  # its goal is 0.6 microseconds


def run(program, *words):
    done = subprocess.run(
        [os.path.join(BENCH, program), "--build", weir.BUILD, "--rounds", "1", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout, done.stderr


def is_drawn(path):
    """An SVG that can be parsed, with marks and words in it."""
    root = xml.etree.ElementTree.parse(path).getroot()
    kinds = {element.tag.rsplit("}", 1)[-1] for element in root.iter()}
    weir.expect({"svg", "text", "line"} <= kinds, kinds)
    for element in root.iter():
        for name, value in element.attrib.items():
            weir.expect("nan" not in value, "%s of %s" % (name, element.tag))
    return root


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as f:
        return f.read()


def stored(*figures):
    """A store with one figure of the first row for each (peer, value)."""
    store = Store(1)
    for peer, value in figures:
        store.note(VIEW.key, peer, None if value is None else {"cpu_us": str(value)})
    return store


def verdicts(tap):
    one, two = "weir, 1 worker", "weir, 2 workers"
    for name, figures, verdict in (
        ("both below the goal", [(one, 0.5), (two, 0.6)], "kept"),
        ("both above it", [(one, 0.61), (two, 0.7)], "OVER"),
        ("one of them", [(one, 0.5), (two, 0.7)], "kept: 1 worker"),
        ("no Weir at all", [("limit", 0.3)], ""),
        ("the peers do not matter", [(one, 0.5), ("mosquitto", 9)], "kept"),
    ):
        with tap.case("the verdict when %s" % name):
            got = report.verdict(stored(*figures), VIEW)
            weir.expect(got == verdict, got)
    with tap.case("of several rounds the best one counts"):
        got = report.best(stored((one, 0.9), (one, 0.4), (one, 0.7)), VIEW, one)
        weir.expect(got == 0.4, got)
    with tap.case("where more is better the greatest one counts"):
        rate = next(v for row in ROWS for v in row.views if v.more_is_better)
        store = Store(2)
        for value in ("100", "200"):
            store.note(report.row_key(rate), one, {rate.metric: value})
        weir.expect(report.best(store, rate, one) == 200, "not the greatest")
        weir.expect(report.verdict(store, rate) == "UNDER", "200 is no 45,000")
    with tap.case("what failed is said, and is no figure"):
        store = stored((one, None))
        weir.expect(report.cell(store, VIEW, one) == "failed", "not said")
        weir.expect(store.failures == [[VIEW.key, one]], store.failures)
    with tap.case("the ratios are those of the better Weir to the limit"):
        store = stored((one, 0.5), (two, 0.7), ("limit", 0.25))
        got = report.by_limit(store, VIEW)
        weir.expect(got == ("2.0", "1.9"), got)


def growth(tap):
    def grown(most):
        store = Store(1)
        for size, value in ((10, 0.8), (1000, 0.7), (100000, most)):
            store.note("idle/%d" % size, "weir, 1 worker", {"cpu_us": value})
        return store

    for most, flat in ((0.9, True), (1.0, True), (1.1, False)):
        with tap.case("from 0.8 to %.1f is %sflat" % (most, "" if flat else "not ")):
            store = grown(most)
            weir.expect(growing.is_flat(store) == flat, growing.table(store))
    with tap.case("bench/growth measures, tells and draws"):
        with tempfile.TemporaryDirectory() as out:
            words = ["--only", "retained", "--sizes", "10,100", "--out", out]
            code, text, told = run("growth", *words)
            weir.expect(code in (0, 2), told)
            weir.expect("   100:" in text, text)
            is_drawn(os.path.join(out, "benchmarks/growth.svg"))


def beside_stalled(tap):
    with tap.case("bench/stalled takes turns, and tells delays and memory"):
        words = ["--rounds", "2", "--stalled", "20", "--half-open", "20"]
        code, text, told = run("stalled", *words, "--messages", "10")
        # Two short rounds on a busy machine may well miss the goal.
        weir.expect(code in (0, 2), "%d: %s%s" % (code, text, told))
        for key in ("p50_us", "p99_us"):
            found = re.search(
                key + r"  alone (\d+) \((\d+) ... (\d+)\)   "
                r"stall (\d+) \((\d+) ... (\d+)\) x [\d.]+   "
                r"beside (\d+) \((\d+) ... (\d+)\) x [\d.]+\n",
                text,
            )
            weir.expect(found, text)
            for first in (1, 4, 7):
                middle, least, most = map(int, found.groups()[first - 1 : first + 2])
                weir.expect(0 < least <= middle <= most, text)
        memory = re.search(r"before (\d+) +with them (\d+) +after (\d+)\n", text)
        weir.expect(memory and all(map(int, memory.groups())), text)
    with tap.case("bench/stalled says what it cannot take"):
        code, _, told = run("stalled", "--rounds", "0")
        weir.expect(code == 2 and "at least 1" in told, "%d: %s" % (code, told))


def comparing(tap):
    with tempfile.TemporaryDirectory() as out:
        with tap.case("a row is measured on Weir, the limit and mosquitto"):
            words = ["--peers", "weir,limit,mosquitto", "--rows", "p2p-1"]
            code, text, told = run("compare", *words, "--out", out)
            # On a busy machine a goal may well be missed.
            weir.expect(code in (0, 2), "%d: %s" % (code, told))
            store = Store.load(os.path.join(out, "benchmarks/compare.json"))
            for peer in ("weir, 1 worker", "weir, 2 workers", "limit", "mosquitto"):
                values = store.figures("p2p-1", peer, "cpu_us")
                weir.expect(len(values) == 1 and values[0] > 0, values)
            weir.expect(("kept" in text) or ("OVER" in text), text)
        with tap.case("BENCHMARKS.md has the row, and shows the plot"):
            text = read(out, "BENCHMARKS.md")
            weir.expect("p2p QoS 1, 50 pairs" in text, text)
            weir.expect("(benchmarks/cost.svg)" in text, text)
            is_drawn(os.path.join(out, "benchmarks/cost.svg"))
        with tap.case("the document can be made again from its figures"):
            os.unlink(os.path.join(out, "BENCHMARKS.md"))
            subprocess.run(
                [sys.executable, os.path.join(BENCH, "report.py"), out], check=True
            )
            weir.expect(read(out, "BENCHMARKS.md") == text, "not the same")
    with tap.case("a row that does not exist is refused"):
        code, _, told = run("compare", "--rows", "nothing")
        weir.expect(code == 1 and "--list" in told, told)
    with tap.case("every row has a name of its own and a goal or none"):
        keys = [view.key for row in ROWS + MORE for view in row.views]
        weir.expect(len(set(keys)) == len(keys), keys)


def main():
    tap = weir.Tap()
    for group in (verdicts, growth, beside_stalled, comparing):
        tap.attempt(group)
    tap.done()


if __name__ == "__main__":
    main()
