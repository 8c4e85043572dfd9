# SPDX-License-Identifier: Apache-2.0

"""Tables, plots and doc/BENCHMARKS.md of what bench/compare has measured.

    python3 bench/report.py DIR     # again, from DIR/benchmarks/*.json
"""

import os
import sys

import growing
import svg
from results import Store, median
from rows import MORE, ROWS

PERCENTILES = [("p50_us", 50), ("p90_us", 90), ("p99_us", 99), ("p999_us", 99.9)]


def best(store, view, peer):
    """The best round: others can only ever make it worse.  None: there is none."""
    values = store.figures(row_key(view), peer, view.metric)
    return view.better(values) if values else None


def row_key(view):
    """A row may have a second view."""
    is_second = view.key.endswith(("-rate", "-left"))
    return view.key.rsplit("-", 1)[0] if is_second else view.key


def is_weir(peer):
    return peer.startswith("weir")


def is_ours(peer):
    """What fails on the others is told in the table alone."""
    return is_weir(peer) or peer == "limit"


def misses(store, view):
    """The Weirs that did not reach the goal."""
    if view.goal is None:
        return []
    return [p for p in weirs(store, view) if not view.is_kept(best(store, view, p))]


def weirs(store, view):
    """Those that have a figure here."""
    return [p for p in store.peers() if is_weir(p) and best(store, view, p) is not None]


def verdict(store, view):
    """kept, OVER, or who keeps it."""
    found = weirs(store, view)
    missed = misses(store, view)
    if view.goal is None or not found:
        return ""
    if not missed:
        return "kept"
    if len(missed) == len(found):
        return "UNDER" if view.more_is_better else "OVER"
    kept = [p.split(", ")[1] for p in found if p not in missed]
    return "kept: " + ", ".join(kept)


def figure(value):
    if value is None:
        return "–"
    if value >= 1000:
        return "{:,.0f}".format(value)
    return "%.*f" % (0 if value >= 100 else 1 if value >= 10 else 2, value)


def cell(store, view, peer):
    value = best(store, view, peer)
    if value is None and store.was_tried(row_key(view), peer):
        return "failed"
    return figure(value)


def goal_text(view):
    if view.goal is None:
        return ""
    return ("≥ " if view.more_is_better else "≤ ") + "{:,g}".format(view.goal)


def ratio(one, other):
    return "–" if not one or not other else "%.1f" % (one / other)


def weir_best(store, view):
    values = [best(store, view, p) for p in weirs(store, view)]
    return view.better(values) if values else None


def by_limit(store, view):
    """Weir to limit here, and what the goal was to the limit recorded with it."""
    here = ratio(weir_best(store, view), best(store, view, "limit"))
    there = ratio(view.goal, view.limit)
    return here, there


def views_of(rows):
    return [view for row in rows for view in row.views]


def measured(store, rows):
    return [view for view in views_of(rows) if row_key(view) in store.runs]


# ---- as text ---------------------------------------------------------------


def table(store, rows):
    peers = store.peers()
    head = ["", "unit", "goal"] + peers + ["÷ limit (goal's)", "mosquitto ÷", ""]
    lines = [head]
    for view in measured(store, rows):
        here, there = by_limit(store, view)
        lines.append(
            [view.title, view.unit, goal_text(view)]
            + [cell(store, view, peer) for peer in peers]
            + ["%s (%s)" % (here, there)]
            + [ratio(best(store, view, "mosquitto"), weir_best(store, view))]
            + [verdict(store, view)]
        )
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    text = []
    for line in lines:
        cells = [line[0].ljust(widths[0]), line[1].ljust(widths[1])]
        cells += [c.rjust(w) for c, w in zip(line[2:-1], widths[2:-1])]
        text.append("  ".join(cells + [line[-1]]).rstrip())
    return "\n".join(text)


# ---- as Markdown -----------------------------------------------------------


def markdown(head, lines):
    text = ["| " + " | ".join(head) + " |"]
    text.append("|" + "---|" * 1 + "---:|" * (len(head) - 1))
    return "\n".join(text + ["| " + " | ".join(line) + " |" for line in lines]) + "\n"


def goal_table(store, rows):
    peers = store.peers()
    lines = []
    for view in measured(store, rows):
        mark = verdict(store, view)
        lines.append(
            ["%s, %s" % (view.title, view.unit), goal_text(view)]
            + [
                "**%s**" % cell(store, view, p) if is_weir(p) else cell(store, view, p)
                for p in peers
            ]
            + [mark if not mark.startswith(("OVER", "UNDER")) else "**%s**" % mark]
        )
    return markdown(["", "goal"] + peers + [""], lines)


def ratio_table(store, rows):
    lines = []
    for view in measured(store, rows):
        if best(store, view, "limit") is None or "MiB" in view.unit:
            continue
        here, there = by_limit(store, view)
        name, recorded = view.best
        limit = best(store, view, "limit")
        lines.append(
            [view.title, here, there]
            + [ratio(best(store, view, "mosquitto"), limit)]
            + ["%s (%s)" % (ratio(recorded, view.limit), name)]
        )
    head = ["", "Weir", "Weir's goal", "mosquitto", "best of the others, recorded"]
    return markdown(head, lines)


def detail_table(store, rows):
    lines = []
    for row in rows:
        for peer in store.peers():
            costs = store.figures(row.key, peer, row.views[0].metric)
            if not costs:
                continue
            best_p99 = store.figures(row.key, peer, "p99_us")
            rate = store.figures(row.key, peer, "per_second")
            lines.append(
                [row.views[0].title, peer]
                + [figure(row.views[0].better(costs)), figure(median(costs))]
                + [figure(max(rate) if rate else None)]
                + [figure(min(best_p99) / 1000 if best_p99 else None)]
            )
    head = ["", "", "best", "median", "most a second", "least p99, ms"]
    return markdown(head, lines)


def growth_table(grown):
    lines = []
    for label, peer, line, risen, flat in growing.rows(grown):
        lines.append(
            [label, peer]
            + ["; ".join("%s: %s" % ("{:,}".format(n), figure(v)) for n, v in line)]
            + ["%.2f" % risen, "flat" if flat else "**rises**"]
        )
    head = ["beside", "", "how many: µs per delivery", "most ÷ least", ""]
    return markdown(head, lines)


HEAD = """# Benchmarks

This file is written by `bench/compare --growth --out doc`; its figures are those
of one run, on %(date)s, on a machine with %(machine)s.
bench/README.md says how each is measured and how to read it.

**What is measured** is the processor time that all processes of a broker take,
user and system, per message delivered, unless a row says something else. Weir,
the forwarder `bench/limit` and the other brokers take turns in one run, each
freshly started, on the loopback interface, with payloads of 16 bytes unless
said otherwise; logs and persistence off, Nagle's algorithm off. The figure is
the best of %(rounds)d rounds: whatever else a machine does can only make it worse.

**limit** is what the kernel's sockets allow: a program of one thread that splits
what it reads into packets, copies each to the receivers by a table of topics,
and writes once a batch. It is not a broker. It makes figures of different
machines comparable: compare its figure first.
"""

RATIOS = """
## By the forwarding limit

How many times what the forwarder takes. The goals and the figures of brokers
that no Debian package has were recorded on another machine; divided by that
machine's limit they can be set beside this one's. For Weir the better of its
two columns above.

"""

GROWTH = """
## Growth

What a delivery costs (QoS 1, 50 pairs) beside more and more of what it has
nothing to do with. Flat is right: at most %.2f times. Idle clients are bounded
by the descriptors that a process may have.

"""


def left_out(store):
    lines = ["%s (%s)" % item for item in sorted(store.left_out.items())]
    text = "Left out: %s.\n" % ", ".join(lines) if lines else ""
    if store.failures:
        names = sorted({"%s on %s" % (row, peer) for row, peer in store.failures})
        text += "Failed at least once: %s.\n" % ", ".join(names)
    return text


def plots(store, grown):
    """(name, what it shows) of those that can be drawn, and their text."""
    found = {}
    draw = {
        "cost": (cost_plot, "cost of a delivery"),
        "latency": (latency_plot, "delay at 5,000 messages a second"),
        "memory": (memory_plot, "memory of idle subscribers"),
    }
    for name, (make, what) in draw.items():
        text = make(store)
        if text is not None:
            found[name] = (what, text)
    if grown is not None:
        found["growth"] = ("growth", growth_plot(grown))
    return found


def document(store, rows, grown, drawn):
    def image(name):
        if name not in drawn:
            return ""
        return "\n![%s](benchmarks/%s.svg)\n" % (drawn[name][0], name)

    rows = [row for row in rows if row.key in store.runs]
    goals = [row for row in rows if row.views[0].goal is not None]
    more = [row for row in rows if row.views[0].goal is None]
    text = HEAD % {
        "date": store.date,
        "machine": store.machine,
        "rounds": store.rounds,
    }
    text += "\n## Beside the goals\n\n" + goal_table(store, goals)
    text += "\n" + left_out(store) + image("cost")
    text += "\n“–” is what a broker cannot do, or what was not asked of it.\n"
    text += RATIOS + ratio_table(store, goals)
    text += image("latency") + image("memory")
    if more:
        text += "\n## Without a goal\n\n" + goal_table(store, more)
    if grown is not None:
        text += GROWTH % growing.FLAT
        text += growth_table(grown) + image("growth")
    text += "\n## All figures\n\n" + detail_table(store, rows)
    return text


# ---- plots -----------------------------------------------------------------


def cost_plot(store):
    names = store.peers()
    rows = []
    for view in measured(store, ROWS):
        if "µs/" not in view.unit or view.key == "http":
            continue
        values = {name: best(store, view, name) for name in names}
        rows.append((view.title, values, view.goal))
    if not rows:
        return None
    return svg.dots(
        "What a delivery costs the broker",
        "processor microseconds per delivery (wildcard: per publish); less is better",
        *(rows, names, "goal", "µs"),
    )


def latency_plot(store):
    lines = {}
    for name in store.peers():
        points = []
        for metric, percent in PERCENTILES:
            values = store.figures("open-loop", name, metric)
            if values:
                points.append((round(100 / (100 - percent)), min(values)))
        if points:
            lines[name] = points
    if not lines:
        return None
    words = {round(100 / (100 - p)): "p%g" % p for _, p in PERCENTILES}
    panel = ("", "percentile", "µs", lines, words)
    return svg.panels(
        "Delay at 5,000 messages a second",
        "from when a message was due until it was read",
        *([panel], store.peers(), True),
    )


def memory_plot(store):
    rows = []
    for name in store.peers():
        held = store.figures("memory", name, "mib")
        left = store.figures("memory", name, "left_mib")
        if held:
            what = [(min(held), "MiB"), (min(left), "MiB kept afterwards")]
            rows.append((name, what))
    if not rows:
        return None
    return svg.bars(
        "Memory of 10,000 idle subscribers",
        "growth of PSS, and what is kept after they left",
        *(rows, "MiB", 10.0),
    )


def growth_plot(grown):
    panels = []
    for kind, _, label in growing.KINDS:
        lines = growing.lines(grown, kind)
        if lines:
            panels.append((label, "how many", "µs per delivery", lines, {}))
    return svg.panels(
        *("What a delivery costs beside more of everything else", "flat is right"),
        *(panels, grown.peers(), True),
    )


# ---- files -----------------------------------------------------------------


def write(directory, store, rows, grown):
    """BENCHMARKS.md, its plots, and the figures to make them from again."""
    below = os.path.join(directory, "benchmarks")
    os.makedirs(below, exist_ok=True)
    store.save(os.path.join(below, "compare.json"))
    if grown is not None:
        grown.save(os.path.join(below, "growth.json"))
    drawn = plots(store, grown)
    for name, (_, text) in drawn.items():
        save(os.path.join(below, name + ".svg"), text)
    text = document(store, rows, grown, drawn)
    save(os.path.join(directory, "BENCHMARKS.md"), text)


def write_growth(directory, grown):
    below = os.path.join(directory, "benchmarks")
    os.makedirs(below, exist_ok=True)
    grown.save(os.path.join(below, "growth.json"))
    save(os.path.join(below, "growth.svg"), growth_plot(grown))


def save(path, text):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    below = os.path.join(sys.argv[1], "benchmarks")
    growth = os.path.join(below, "growth.json")
    grown = Store.load(growth) if os.path.exists(growth) else None
    store = Store.load(os.path.join(below, "compare.json"))
    write(sys.argv[1], store, ROWS + MORE, grown)


if __name__ == "__main__":
    main()
