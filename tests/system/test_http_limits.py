#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""Rates of weir-httpd: who is refused, by which limit, and for how long."""

import json
import signal
import time

import weir

PUBLISH = "/api/v4/mqtt/publish"
BATCH = "/api/v4/mqtt/publish_batch"
ACCOUNTS = (
    {"name": "admin", "password": "public"},
    {"name": "second", "password": "other"},
    {"name": "third", "password": "more"},
)


def post(suite, topic, payload="x", auth="admin:public", key="topic"):
    body = json.dumps({key: topic, "payload": payload, "qos": 1})
    status, headers, text = suite.http("POST", PUBLISH, body, auth=auth)
    return status, json.loads(text), headers


def refused_by(answer, limit, status=429):
    """This refusal names the limit and, if waiting helps, for how long."""
    got, body, headers = answer
    weir.expect(got == status and body["code"] == status, answer)
    weir.expect(body.get("limit") == limit, body)
    weir.expect(limit in body["message"], body)
    if status != 429:
        weir.expect("retry-after" not in headers, headers)
        return None
    seconds = int(headers["retry-after"])
    weir.expect(seconds >= 1, headers)
    return seconds


def all_are(suite, count, status, *arguments, **more):
    for _ in range(count):
        answer = post(suite, *arguments, **more)
        weir.expect(answer[0] == status, answer)


def until_refused(suite, least, *arguments, **more):
    """The first refusal; a slow machine earns some tokens meanwhile."""
    for count in range(100):
        answer = post(suite, *arguments, **more)
        if answer[0] != 200:
            weir.expect(count >= least, "after %d: %r" % (count, answer))
            return answer
    raise AssertionError("never refused")


def metric(suite, name):
    """A sample's value in /metrics, or None."""
    for line in suite.http("GET", "/metrics", auth=None)[2].splitlines():
        if line.startswith(name + " "):
            return float(line.split()[-1])
    return None


def by_name(tap):
    http = {
        "rate": {"bytes_per_second": 1, "bytes_burst": 1000},
        "rate_per_account": {"per_second": 1, "burst": 8},
        "rate_per_filter": (
            {"name": "slow", "filter": "slow/#", "per_second": 1, "burst": 2},
            {"name": "big", "filter": "big", "bytes_per_second": 1, "bytes_burst": 50},
            {"name": "huge", "filter": "huge", "bytes_per_second": 1, "bytes_burst": 40},
        ),
    }
    with weir.Weir(http=http, accounts=ACCOUNTS) as suite:
        with tap.case("a topic's limit is named, and others' topics go on"):
            answer = until_refused(suite, 2, "slow/a", auth="second:other")
            refused_by(answer, "http.rate_per_filter.slow.per_second")
            all_are(suite, 1, 200, "t/a")
        with tap.case("an account's limit is its own"):
            answer = until_refused(suite, 5, "t/a")
            refused_by(answer, "http.rate_per_account.per_second")
            all_are(suite, 1, 200, "t/a", auth="second:other")
        with tap.case("what is larger than a burst is 413 by that limit's name"):
            limit = "http.rate_per_filter.big.bytes_per_second"
            answer = post(suite, "big", "x" * 60, auth="second:other")
            refused_by(answer, limit, 413)
        with tap.case("of several topics that are refused the first one is told"):
            answer = post(suite, "big,huge", "x" * 60, auth="second:other", key="topics")
            refused_by(answer, limit, 413)
        with tap.case("bytes are counted, and Retry-After is as long as it takes"):
            limit = "http.rate.bytes_per_second"
            answer = until_refused(suite, 0, "t/a", "x" * 300, auth="third:more")
            seconds = refused_by(answer, limit)
            # A byte comes back each second; less than a message is there.
            weir.expect(0 < seconds <= 303, seconds)
            answer = post(suite, "t/a", "x" * 400, auth="third:more")
            longer = refused_by(answer, limit)
            weir.expect(95 <= longer - seconds <= 100, (seconds, longer))
        with tap.case("each limit's refusals are in the metrics"):
            name = 'weir_httpd_limit_refused_total{limit="%s"}'
            weir.expect(metric(suite, name % limit) == 2, limit)
            weir.expect(metric(suite, name % "http.rate.per_second") is None, "set")
        with tap.case("a batch is charged a message at a time"):
            body = json.dumps([{"topic": "slow/%d" % i, "payload": ""} for i in range(4)])
            time.sleep(2.1)
            status, headers, text = suite.http(
                "POST", BATCH, body, auth="second:other"
            )
            codes = [result["code"] for result in json.loads(text)["data"]]
            weir.expect(status == 207 and codes == [0, 0, 429, 429], (status, codes))
            weir.expect(int(headers["retry-after"]) >= 1, headers)


def requests(tap):
    http = {"rate_per_account": {"requests_per_second": 1, "requests_burst": 3}}
    with weir.Weir(http=http, accounts=ACCOUNTS) as suite:
        with tap.case("requests are limited before their bodies are read"):
            status = None
            for _ in range(20):
                until_refused(suite, 0, "t/a")
                client = weir.Http(suite.http_port, timeout=1)
                client.send(client.head("POST", PUBLISH, 1000000))
                try:
                    status, headers, body = client.response()
                    break
                except TimeoutError:
                    client.close()  # so much time passed that it was let in
            weir.expect(status == 429, status)
            limit = "http.rate_per_account.requests_per_second"
            weir.expect(json.loads(body)["limit"] == limit, body)
            weir.expect(headers["retry-after"] == "1", headers)
            client.close()
        with tap.case("the wait that is told suffices"):
            time.sleep(1.0)
            all_are(suite, 1, 200, "t/a")
        with tap.case("open pages are not limited, nor is another account"):
            for _ in range(5):
                weir.expect(suite.http("GET", "/healthz", auth=None)[0] == 200, "no")
            all_are(suite, 1, 200, "t/a", auth="second:other")
        with tap.case("they are counted apart"):
            weir.expect(metric(suite, "weir_httpd_refused_requests_total") >= 1, "no")


def reload(tap):
    slow = {"per_second": 1, "burst": 20}
    with weir.Weir(http={"rate_per_client": slow}) as suite:
        httpd = suite.pid("weir-httpd")

        def change(old, new):
            before = len(suite.lines("reloaded"))
            with open(suite.config) as file:
                text = file.read()
            weir.expect(old in text, text)
            with open(suite.config, "w") as file:
                file.write(text.replace(old, new))
            weir.kill(httpd, signal.SIGHUP)
            weir.wait_for("it reloads", lambda: len(suite.lines("reloaded")) > before)

        with tap.case("a reload gives nobody a new burst"):
            all_are(suite, 10, 200, "t/a")
            change("burst = 20", "burst = 21")
            passed = 0
            while post(suite, "t/a")[0] == 200:
                passed += 1
            weir.expect(10 <= passed < 20, "%d after 10 of 20" % passed)
        with tap.case("another rate is in force at once, for who waits already"):
            change("per_second = 1;", "per_second = 1000;")
            weir.wait_for("it passes", lambda: post(suite, "t/a")[0] == 200, 3)
        with tap.case("a limit that is taken away is gone"):
            change("rate_per_client", "rate_per_account")
            change("per_second = 1000;", "per_second = 1;")
            all_are(suite, 21, 200, "t/a")
            refused_by(post(suite, "t/a"), "http.rate_per_account.per_second")
        with tap.case("weir-httpd is still the same process"):
            weir.expect(suite.pid("weir-httpd") == httpd, "another")


def main():
    tap = weir.Tap()
    by_name(tap)
    requests(tap)
    reload(tap)
    tap.done()


if __name__ == "__main__":
    main()
