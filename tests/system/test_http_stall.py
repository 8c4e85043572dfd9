#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""HTTP clients of a bridge that stalls: held, then told honestly."""

import concurrent.futures
import json
import time

import weir

PUBLISH = "/api/v4/mqtt/publish"
STALL_S = 2


def post(suite, topic, size=4000):
    body = json.dumps({"topic": topic, "payload": "x" * size, "qos": 1})
    begun = time.monotonic()
    status, headers, text = suite.http("POST", PUBLISH, body)
    took = time.monotonic() - begun
    return status, headers, json.loads(text), took


def seconds_of(headers):
    seconds = int(headers["retry-after"])
    weir.expect(1 <= seconds <= 60, headers)
    return seconds


def lines_of(suite, event, lane):
    return [x for x in suite.lines(event) if 'lane="%s"' % lane in x]


def crowd(suite, topic, count):
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda _: post(suite, topic), range(count)))


def refusals(tap, suite):
    with tap.case("a client is held, then told who lacks room, and for how long"):

        def refusal():
            answer = post(suite, "cloud/x")
            return answer if answer[0] != 200 else None

        status, headers, body, took = weir.wait_for("a refusal", refusal, 60)
        weir.expect(status == 429 and body["code"] == 429, body)
        weir.expect(took >= STALL_S, "after %.3f s" % took)
        weir.expect(body["limit"] == "http.stall_timeout", body)
        weir.expect(body["held_by"] == "bridge cloud", body)
        weir.expect(body["explain"] == "weirctl why cloud", body)
        weir.expect("bridge cloud has no room" in body["message"], body)
        seconds_of(headers)
    with tap.case("the command that explains it does"):
        text = suite.ctl(*body["explain"].split()[1:], check=False)
        weir.expect("cloud" in text, text)
    with tap.case("no more than http.max_stalled are held, the others told at once"):
        answers = crowd(suite, "cloud/x", 10)
        limits = [body["limit"] for _, _, body, _ in answers]
        weir.expect(limits.count("http.stall_timeout") == 4, limits)
        weir.expect(limits.count("http.max_stalled") == 6, limits)
        for status, headers, body, took in answers:
            weir.expect(status == 429 and body["held_by"] == "bridge cloud", body)
            seconds_of(headers)
            if body["limit"] == "http.stall_timeout":
                weir.expect(took >= STALL_S, "after %.3f s" % took)
    with tap.case("the longer it stands still, the later one is told to come back"):
        weir.wait_for(
            "a longer wait", lambda: seconds_of(post(suite, "cloud/x")[1]) >= 6, 60
        )
    with tap.case("an unbridged topic and another bridge are not held"):
        for number in range(50):
            weir.expect(post(suite, "here/%d" % number)[0] == 200, "unbridged")
            weir.expect(post(suite, "plant/%d" % number)[0] == 200, "the other")


def rejected(tap, suite):
    with tap.case("a bridge that rejects is named too, and nobody waits for it"):

        def refusal():
            answer = post(suite, "strict/x")
            return answer if answer[0] != 200 else None

        status, headers, body, _ = weir.wait_for("a refusal", refusal, 60)
        weir.expect(status == 429 and body["limit"] == "overflow", body)
        weir.expect(body["held_by"] == "bridge strict", body)
        weir.expect(body["explain"] == "weirctl why strict", body)
        seconds_of(headers)
        weir.wait_for("the log says so", lambda: lines_of(suite, "overflow_began", "strict"))


def episode(tap, suite, remote):
    with tap.case("the log has one line of it, however many are refused"):
        lines = lines_of(suite, "overflow_began", "cloud")
        weir.expect(len(lines) == 1, lines)
        weir.expect('lane="cloud" held_by="bridge cloud"' in lines[0], lines)
        weir.expect(not lines_of(suite, "overflow_ended", "cloud"), "ended")
    remote.go_on()
    with tap.case("it goes on when the remote does, and the log sums it up"):
        weir.wait_for("one is accepted", lambda: post(suite, "cloud/x")[0] == 200)
        weir.wait_for("the end", lambda: lines_of(suite, "overflow_ended", "cloud"), 60)
        (line,) = lines_of(suite, "overflow_ended", "cloud")
        fields = dict(part.split("=", 1) for part in line.split() if "=" in part)
        weir.expect(fields["lane"] == '"cloud"', line)
        weir.expect(int(fields["duration_ms"]) > 1000 * STALL_S, line)
        metrics = suite.http("GET", "/metrics", auth=None)[2].splitlines()
        name = 'weir_httpd_lane_refused_total{lane="cloud"} '
        (refused,) = [m[len(name) :] for m in metrics if m.startswith(name)]
        weir.expect(int(fields["refused"]) == int(refused), (line, refused))
        # Each that was refused for the time had been held for it.
        weir.expect(int(fields["stalled"]) >= 5, line)
        weir.expect(len(lines_of(suite, "overflow_began", "cloud")) == 1, "again")


def bridge(name, port, overflow="stall"):
    return {
        "name": name,
        "type": "mqtt",
        "url": "mqtt://127.0.0.1:%d" % port,
        "forward": [{"filter": name + "/#", "qos": 1}],
        "ring": {"capacity": "64KiB", "max_capacity": "64KiB"},
        "overflow": overflow,
    }


def main():
    tap = weir.Tap()
    with weir.Mosquitto() as remote, weir.Mosquitto() as plant:
        http = {
            "stall_timeout": "%ds" % STALL_S,
            "max_stalled": 4,
            "ring": {"capacity": "64KiB", "max_capacity": "64KiB"},
        }
        bridges = [bridge("cloud", remote.port), bridge("plant", plant.port)]
        bridges.append(bridge("strict", remote.port, "reject"))
        with weir.Weir(http=http, bridges=bridges) as suite:
            for topic in ("cloud/x", "plant/x", "strict/x"):
                weir.expect(post(suite, topic)[0] == 200, topic)
            remote.stop()
            refusals(tap, suite)
            rejected(tap, suite)
            episode(tap, suite, remote)
    tap.done()


if __name__ == "__main__":
    main()
