#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""`weirctl dump`, `replay` and `trace` on lanes that stall, hang and die."""

import json
import os
import signal
import subprocess

import weir

LANE = "broker→cloud"
STAGES = ["read", "put", "taken", "routed", "sent", "acknowledged"]


def dump(suite, *options):
    """The lane's records and its diagnosis."""
    lines = suite.ctl("dump", "--json", *options, LANE).splitlines()
    objects = [json.loads(line) for line in lines]
    weir.expect("diagnosis" in objects[-1], objects[-1])
    return objects[:-1], objects[-1]


def topics(records):
    return [record["topic"] for record in records]


def run_replay(suite, *arguments, text=None):
    """(exit code, stdout, stderr) of weirctl replay."""
    done = subprocess.run(
        [weir.program("weirctl"), "replay", "-c", suite.config, *arguments],
        input="" if text is None else text,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=60,
        encoding="utf-8",
    )
    return done.returncode, done.stdout, done.stderr


def settled(suite, count):
    """So many messages have left the lane."""
    weir.wait_for(
        "the bridge delivers", lambda: suite.ring_is(LANE, messages_out=count)
    )


def publish_all(suite, names, payload="payload-of-%s"):
    for name in names:
        status = suite.publish("cloud/" + name, payload % name)
        weir.expect(status == 200, "status %d for %s" % (status, name))


def stalled(tap, suite, remote):
    """The remote does not answer: records wait, sent and not acknowledged."""
    publish_all(suite, ("a", "b"))
    settled(suite, 2)
    remote.stop()
    publish_all(suite, ("c", "d", "e"))
    with tap.case("a stalled lane's records are dumped, oldest first"):
        records, last = dump(suite)
        weir.expect(topics(records) == ["cloud/c", "cloud/d", "cloud/e"], records)
        weir.expect(last["waiting"] == 3 and last["fault"] is None, last)
        first = records[0]
        weir.expect(first["kind"] == "message" and first["qos"] == 1, first)
        weir.expect(not first["released"] and first["sequence"] == 3, first)
        weir.expect(first["payload_bytes"] == len("payload-of-c"), first)
    with tap.case("payloads are shown only when asked for"):
        for text in (suite.ctl("dump", LANE), suite.ctl("dump", "--json", LANE)):
            weir.expect("payload-of" not in text, text)
        for text in (
            suite.ctl("dump", "-p", LANE),
            suite.ctl("dump", "-p", "--json", LANE),
        ):
            weir.expect("payload-of-d" in text, text)
    with tap.case("--released brings those that are delivered, too"):
        records, last = dump(suite, "--released")
        weir.expect(
            topics(records) == ["cloud/" + name for name in "abcde"], records
        )
        released = [record["released"] for record in records]
        weir.expect(released == [True, True, False, False, False], records)
        weir.expect(last["released"] == 2, last)
    with tap.case("--limit, --oldest and --newest-first choose and order"):
        records, last = dump(suite, "-n", "2")
        weir.expect(topics(records) == ["cloud/d", "cloud/e"], records)
        weir.expect(last["left_out"] == 1, last)
        records, _ = dump(suite, "-n", "2", "--oldest", "--newest-first")
        weir.expect(topics(records) == ["cloud/d", "cloud/c"], records)
    with tap.case("the diagnosis says what the records wait for"):
        weir.wait_for(
            "it is told",
            lambda: dump(suite)[1]["diagnosis"] in ("not_acknowledged", "held"),
        )
        weir.expect("--limit" in suite.ctl("dump", "-n", "1", LANE), "the table")
    with tap.case("-> may be typed for the arrow, and all lanes be dumped"):
        weir.expect("cloud/c" in suite.ctl("dump", "broker->cloud"), "typed")
        weir.expect("httpd→broker" in suite.ctl("dump"), "all lanes")
    remote.go_on()
    settled(suite, 5)


def hung(tap, suite):
    """The bridge does not run."""
    bridge = suite.pid("weir-bridged", "cloud")
    weir.kill(bridge, signal.SIGSTOP)
    try:
        publish_all(suite, ("f", "g"))
        with tap.case("a stopped bridge's records are dumped and it is named"):
            records, last = dump(suite)
            weir.expect(topics(records) == ["cloud/f", "cloud/g"], records)
            weir.expect(last["diagnosis"] == "consumer_stopped", last)
            weir.expect("kill -CONT %d" % bridge in last["hint"], last)
        with tap.case("released records are found behind a stopped bridge"):
            records, _ = dump(suite, "--released")
            weir.expect(
                topics(records) == ["cloud/" + name for name in "abcdefg"], records
            )
    finally:
        weir.kill(bridge, signal.SIGCONT)
    settled(suite, 7)


def killed(tap, suite):
    """The broker and the bridge are dead; the supervisor holds the memory."""
    weir.kill(suite.pid("weir-bridged", "cloud"), signal.SIGSTOP)
    publish_all(suite, ("h", "i"))
    weir.kill(suite.child.pid, signal.SIGSTOP)  # nobody is started again
    for pid in (suite.pid("weir-bridged", "cloud"), suite.pid("weir-broker")):
        weir.kill(pid, signal.SIGKILL)
        weir.wait_for("it is dead", lambda pid=pid: not weir.is_alive(pid))
    try:
        with tap.case("a dead bridge's records are dumped and it is named"):
            records, last = dump(suite, "-p")
            weir.expect(topics(records) == ["cloud/h", "cloud/i"], records)
            weir.expect(records[1]["payload"] == "payload-of-i", records)
            weir.expect(last["diagnosis"] == "consumer_dead", last)
        with tap.case("released records are found when both are dead"):
            records, _ = dump(suite, "--released")
            weir.expect(
                topics(records) == ["cloud/" + name for name in "abcdefghi"],
                records,
            )
        with tap.case("traces are read when those that noted them are dead"):
            weir.expect("in the ring to the bridge" in suite.ctl("trace"), "trace")
    finally:
        weir.kill(suite.child.pid, signal.SIGCONT)
    suite.wait_ready()


def replayed(tap, suite, remote, path):
    """What was dumped is published again."""
    sub = weir.Collector(suite.port, "again/#")
    with tap.case("replay only shows what it would do"):
        code, out, _ = run_replay(suite, "-t", "again/x", path)
        weir.expect(code == 0 and "Would publish 3 messages" in out, out)
        weir.expect("again/x" in out and "cloud/c" in out, out)
        weir.expect("Nothing was sent" in out, out)
    with tap.case("replay --yes publishes all in their order"):
        code, out, err = run_replay(suite, "-t", "again/x", "--yes", path)
        weir.expect(code == 0, err)
        weir.expect("3 of 3 messages published, 0 refused" in out, out)
        sub.wait_count(3)
        weir.expect(
            sub.payloads() == ["payload-of-" + name for name in "cde"],
            sub.payloads(),
        )
    sub.stop()
    with tap.case("replay --keep-topics reads standard input"):
        sub = weir.Collector(suite.port, "cloud/#")
        with open(path, encoding="utf-8") as f:
            code, out, err = run_replay(
                suite, "--keep-topics", "--yes", "-", text=f.read()
            )
        weir.expect(code == 0, err)
        sub.wait_count(3)
        got = [message.topic for message in sub.messages]
        weir.expect(got == ["cloud/c", "cloud/d", "cloud/e"], got)
        sub.stop()
    with tap.case("replay names the line that is bad, and sends nothing"):
        code, out, err = run_replay(
            suite, "-t", "again/x", "--yes", "-", text='{"kind":"receipt"}\n{"kind":\n'
        )
        weir.expect(code == 1 and ":2: " in err and "nothing was sent" in err, err)
    with tap.case("replay says that there is no broker"):
        code, out, err = run_replay(
            suite, "-t", "x", "-p", str(weir.free_port()), "--yes", path
        )
        weir.expect(code == 69 and "0 of 3" in out, (code, out, err))


def traced(tap, suite):
    """Every message is sampled here."""
    with tap.case("trace shows each stage's times"):
        weir.expect(
            suite.publish("cloud/traced", "to be traced") == 200, "not published"
        )
        weir.wait_for("it is acknowledged", lambda: find_traced(suite) is not None)
        times = json.loads(suite.ctl("trace", "--json"))
        stages = {stage["stage"]: stage for stage in times["stages"]}
        for name in (
            "to_ring in_ring routing in_bridge_ring remote receipt "
            "to_answer to_remote"
        ).split():
            stage = stages[name]
            weir.expect(stage["count"] >= 1, stage)
            weir.expect(
                0 <= stage["p50_us"] <= stage["p90_us"] <= stage["p99_us"], stage
            )
            weir.expect(stage["p99_us"] <= stage["max_us"] * 1.0001, stage)
        table = suite.ctl("trace")
        weir.expect("P99" in table and "at the remote" in table, table)
    with tap.case("one message is followed through httpd, broker, bridge, remote"):
        record = find_traced(suite)
        weir.expect(record["traced"], record)
        way = json.loads(suite.ctl("trace", "--json", record["id"]))
        weir.expect(way["id"] == record["id"], way)
        seen = [s["stage"] for s in way["stages"] if s["stage"] != "answered"]
        weir.expect(seen == STAGES, way)
        weir.expect("answered" in [s["stage"] for s in way["stages"]], way)
        by = {s["stage"]: s["by"] for s in way["stages"]}
        weir.expect(by["read"] == "httpd" and by["sent"] == "cloud", by)
        weir.expect(by["taken"] == "broker", by)
        since = [s["since_us"] for s in way["stages"]]
        weir.expect(since[0] == 0 and since == sorted(since), since)
        weir.expect(record["id"].split(".")[0] == "0", record)
        weir.expect("acknowledged" in suite.ctl("trace", record["id"]), "table")
    with tap.case("an MQTT client's message to a bridge is followed, too"):
        client = suite.mqtt("publisher")
        client.publish("cloud/mqtt", "x", qos=1)
        client.close()
        record = weir.wait_for(
            "it is in the lane", lambda: find_released(suite, "cloud/mqtt")
        )
        weir.expect(record["id"].startswith("mqtt."), record)
        way = json.loads(suite.ctl("trace", "--json", record["id"]))
        seen = [stage["stage"] for stage in way["stages"]]
        weir.expect(seen[:3] == ["read", "routed", "sent"], way)
    with tap.case("an id that nobody noted is an error that says why"):
        suite.ctl("trace", "0.0.999999999", check=False)
        done = subprocess.run(
            [weir.program("weirctl"), "trace", "-c", suite.config, "0.0.999999999"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=20,
            encoding="utf-8",
        )
        weir.expect(done.returncode == 1 and "not sampled" in done.stderr, done)
    with tap.case("--seconds takes only what comes meanwhile"):
        weir.expect(
            "in this time" in suite.ctl("trace", "--seconds", "0.3"), "nothing came"
        )


def find_released(suite, topic):
    for record in dump(suite, "--released")[0]:
        if record.get("topic") == topic and record["released"]:
            return record
    return None


def find_traced(suite):
    return find_released(suite, "cloud/traced")


def bridges(remote):
    return [
        {
            "name": "cloud",
            "url": "mqtt://127.0.0.1:%d" % remote.port,
            "forward": [{"filter": "cloud/#"}],
        }
    ]


def main():
    tap = weir.Tap()
    with weir.Mosquitto() as remote:
        with tap.case("the suite ends in order"), weir.Weir(
            bridges=bridges(remote), trace_every=1
        ) as suite:
            stalled(tap, suite, remote)
            path = os.path.join(suite.box.dir, "dump.jsonl")
            with open(path, "w", encoding="utf-8") as f:
                records, last = dump(suite, "--released", "-p")
                for line in records[2:5] + [last]:
                    f.write(json.dumps(line) + "\n")
            hung(tap, suite)
            killed(tap, suite)
            replayed(tap, suite, remote, path)
            traced(tap, suite)
        with tap.case("trace says that sampling is off"), weir.Weir(
            bridges=bridges(remote), trace_every=0
        ) as suite:
            weir.expect(suite.publish("cloud/a", "x") == 200, "not published")
            settled(suite, 1)
            weir.expect("sampling is off" in suite.ctl("trace"), "trace")
    tap.done()


if __name__ == "__main__":
    main()
