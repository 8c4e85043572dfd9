#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""GET /metrics as Prometheus reads it, and the dashboard that uses it."""

import json
import os
import re

import weir

ROOT = os.path.join(os.path.dirname(__file__), "..", "..")
NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"'
SAMPLE = re.compile(r"(%s)(?:\{(.*)\})? (\S+)$" % NAME)


def labels_of(text):
    labels, rest = {}, text or ""
    while rest:
        match = re.match(LABEL + r"(?:,|$)", rest)
        weir.expect(match, "bad labels: %r" % text)
        weir.expect(match.group(1) not in labels, "a label twice: %r" % text)
        labels[match.group(1)] = match.group(2)
        rest = rest[match.end() :]
    return labels


def parse(text):
    """{family: (kind, {labels: value})}, by the rules of format 0.0.4."""
    families, current, helped = {}, None, None
    weir.expect(text.endswith("\n"), "the last line has no end")
    for line in text.splitlines():
        words = line.split(" ", 3)
        if line.startswith("# HELP "):
            weir.expect(len(words) == 4 and words[3].strip(), "no help: " + line)
            helped = words[2]
        elif line.startswith("# TYPE "):
            name, kind = words[2], words[3]
            weir.expect(name == helped, "no HELP before " + line)
            weir.expect(name not in families, "twice: " + line)
            weir.expect(kind in ("counter", "gauge"), line)
            families[name] = (kind, {})
            current = name
        else:
            match = SAMPLE.match(line)
            weir.expect(match, "no sample: %r" % line)
            weir.expect(match.group(1) == current, "out of its family: " + line)
            labels = tuple(sorted(labels_of(match.group(2)).items()))
            samples = families[current][1]
            weir.expect(labels not in samples, "twice: " + line)
            samples[labels] = float(match.group(3))
    return families


def lint(families):
    """What promtool check metrics would find."""
    abbreviated = {"s", "ms", "us", "ns", "sec", "b", "kb", "mb", "gb", "m", "h", "d"}
    for name, (kind, _) in families.items():
        weir.expect(name.startswith("weir_"), name)
        weir.expect(re.match(r"[a-z0-9_]+$", name), name)
        weir.expect((kind == "counter") == name.endswith("_total"), name)
        weir.expect(not re.search(r"_(count|sum|bucket|info_total)$", name), name)
        weir.expect(not set(name.split("_")) & abbreviated, name)
        weir.expect(not re.search(r"_(counter|gauge)(_|$)", name), name)
        weir.expect("seconds" not in name or "milliseconds" not in name, name)


def scrape(suite, **more):
    status, headers, text = suite.http("GET", "/metrics", auth=None, **more)
    weir.expect(status == 200, status)
    weir.expect("version=0.0.4" in headers["content-type"], headers)
    return parse(text)


def value(families, name, **labels):
    return families[name][1][tuple(sorted(labels.items()))]


def numbers(tap, suite, remote):
    with tap.case("it is what Prometheus reads, with names as it wants them"):
        families = scrape(suite)
        lint(families)
        weir.expect(len(families) > 100, len(families))

    with tap.case("it says what runs"):
        ((labels, one),) = families["weir_build_info"][1].items()
        weir.expect(one == 1 and dict(labels)["version"], labels)
        weir.expect(value(families, "weir_httpd_broker_up") == 1, "broker_up")

    with tap.case("messages are counted where they went"):
        for i in range(5):
            weir.expect(suite.publish("b/x", str(i)) == 200, "status")
        weir.expect(suite.publish("nobody", "x") == 200, "status")
        after = scrape(suite)
        for name, more in (
            ("weir_httpd_accepted_messages_total", 6),
            ("weir_httpd_no_receiver_messages_total", 1),
            ("weir_broker_ring_messages_in_total", 6),
        ):
            grown = value(after, name) - value(families, name)
            weir.expect(grown == more, "%s: %d" % (name, grown))
        prefix = "weir_bridge_"
        cloud = {"bridge": "cloud"}
        given = value(after, prefix + "accepted_messages_total", **cloud)
        weir.expect(given == 5, given)
        parts = [
            value(after, prefix + part, **cloud)
            for part in (
                "delivered_messages_total",
                "queued_messages",
                "dropped_messages_total",
                "dead_messages_total",
            )
        ]
        weir.expect(sum(parts) == given, parts)
        weir.expect(value(after, prefix + "dead_letters", **cloud) == 0, "dead")
        weir.expect(value(after, prefix + "enabled", **cloud) == 1, "enabled")
        producers = [
            value(after, prefix + part + "_messages_total", **cloud)
            for part in ("offered", "answered", "refused", "unknown")
        ]
        weir.expect(producers == [5, 5, 0, 0], producers)

    with tap.case("a bridge is up when its remote is, and not before"):
        remote.start()
        weir.wait_for(
            "it is up",
            lambda: value(scrape(suite), "weir_bridge_up", bridge="cloud") == 1,
        )
        weir.wait_for(
            "all is delivered",
            lambda: value(
                scrape(suite), "weir_bridge_delivered_messages_total", bridge="cloud"
            )
            == 5,
        )
        away = value(scrape(suite), "weir_bridge_up", bridge="a-way")
        weir.expect(away == 0, away)

    with tap.case("the same is at /api/v4/prometheus, for who may read"):
        status, _, text = suite.http("GET", "/api/v4/prometheus")
        weir.expect(status == 200, status)
        weir.expect(set(parse(text)) == set(scrape(suite)), "families")
        status, _, text = suite.http("GET", "/api/v4/prometheus", auth="pub:public")
        weir.expect(status == 403, (status, text))
        status = suite.http("GET", "/api/v4/prometheus", auth=None)[0]
        weir.expect(status == 401, status)


def hung(tap, suite):
    with tap.case("while the broker hangs, everything else is there"):
        broker = suite.pid("weir-broker")
        weir.kill(broker, weir.signal.SIGSTOP)
        try:
            families = scrape(suite)
            weir.expect(value(families, "weir_httpd_asks_late_total") >= 1, "late")
            weir.expect(not families["weir_bridge_up"][1], "whence?")
            weir.expect(families["weir_broker_clients"][1], "no broker counters")
        finally:
            weir.kill(broker, weir.signal.SIGCONT)
        weir.wait_for(
            "the bridges are back", lambda: scrape(suite)["weir_bridge_up"][1]
        )


def dashboard(tap, suite):
    with tap.case("the dashboard asks for what is there"):
        with open(os.path.join(ROOT, "doc", "grafana", "weir.json")) as f:
            text = f.read()
        board = json.loads(text)
        families = scrape(suite)
        used = set(re.findall(r"weir_[a-z0-9_]+", text))
        weir.expect(used <= set(families), used - set(families))
        ids = [panel["id"] for panel in board["panels"]]
        weir.expect(len(set(ids)) == len(ids), ids)
        for panel in board["panels"]:
            if panel["type"] == "row":
                continue
            weir.expect(panel["targets"] and panel["description"], panel["title"])
            for target in panel["targets"]:
                for name in re.findall(r"(weir_\w+)", target["expr"]):
                    is_rate = "rate(" + name in target["expr"]
                    is_counter = families[name][0] == "counter"
                    weir.expect(is_rate == is_counter, target["expr"])


def main():
    tap = weir.Tap()
    remote = weir.Mosquitto()
    remote.kill()

    def bridge(name, port, topic):
        return {
            "name": name,
            "type": "mqtt",
            "url": "mqtt://127.0.0.1:%d" % port,
            "forward": ({"filter": topic, "qos": 1},),
        }

    bridges = (
        bridge("cloud", remote.port, "b/#"),
        bridge("a-way", weir.free_port(), "a/#"),
    )
    accounts = (
        {"name": "admin", "password": "public"},
        {"name": "pub", "password": "public", "scopes": ("publish",)},
    )
    with remote, tap.case("the suite starts, and ends in order"):
        with weir.Weir(bridges=bridges, accounts=accounts) as suite:
            numbers(tap, suite, remote)
            hung(tap, suite)
            dashboard(tap, suite)
    tap.done()


if __name__ == "__main__":
    main()
