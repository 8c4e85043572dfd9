#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""The broker dies with 1,000 HTTP requests pending.

Each request is a connection of its own with one numbered message for a
bridge.  Whatever happens to the broker, each gets its true answer, or 504:
what was answered 200 is at the remote, what was refused (429, 503) is not,
and what was answered 504 may be.  weir-httpd's counters say the same as its
clients: offered = accepted + refused + unknown.
"""

import collections
import json
import resource
import selectors
import signal

import weir
from test_broker_killed import ByHand

COUNT = 1000
SIZE = 256
PATH = "/api/v4/mqtt/publish"


def settings(remote, ring, **http):
    timeouts = {"stall_timeout": "60s", "receipt_timeout": "60s"}
    return {
        # Beyond the ring no more than this waits in the journal.
        "worker_window": "16KiB",
        "http": dict(
            {"max_connections": 2 * COUNT, "max_pending": 4 * COUNT},
            **dict(timeouts, **http)
        ),
        "bridges": [
            {
                "name": "cloud",
                "url": "mqtt://127.0.0.1:%d" % remote.port,
                "forward": [{"filter": "cloud/#", "qos": 1}],
                "ring": {"capacity": ring, "max_capacity": ring},
                "retry_max": "1s",
            }
        ],
    }


class Crowd:
    """Requests that are sent at once, and what each was told.

    `each` of them go through one connection, without waiting for answers.
    """

    def __init__(self, suite, first=0, each=1):
        self.numbers = range(first, first + COUNT)
        self.status = {}
        self.selector = selectors.DefaultSelector()
        for number in self.numbers[::each]:
            http = weir.Http(suite.http_port)
            http.numbers = collections.deque(range(number, number + each))
            self.selector.register(http.sock, selectors.EVENT_READ, http)

    def ask(self):
        for key in list(self.selector.get_map().values()):
            requests = b""
            for number in key.data.numbers:
                text = ("%d:" % number).ljust(SIZE, "x")
                body = json.dumps({"topic": "cloud/n", "payload": text, "qos": 1})
                requests += key.data.head("POST", PATH, len(body)) + body.encode()
            key.data.send(requests)

    def listen(self, seconds=0.0):
        """Take what comes within so many seconds; the answers so far."""
        for key, _ in self.selector.select(seconds):
            http = key.data
            try:
                self.status[http.numbers[0]] = http.response()[0]
                http.numbers.popleft()
                while http.numbers and http.buffer:
                    self.status[http.numbers[0]] = http.response()[0]
                    http.numbers.popleft()
            except (OSError, EOFError):
                self.status.update(dict.fromkeys(http.numbers, 0))
                http.numbers.clear()
            if not http.numbers:
                self.selector.unregister(http.sock)
                http.close()
        return len(self.status)

    def wait_answers(self, count=COUNT):
        weir.wait_for(
            "%d answers" % count,
            lambda: self.listen(0.05) >= count,
            60,
            pause=0,
        )

    def told(self, *statuses):
        return {n for n, status in self.status.items() if status in statuses}

    def summary(self):
        return dict(collections.Counter(self.status.values()))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for key in list(self.selector.get_map().values()):
            key.data.close()
        self.selector.close()


class Remote(weir.Mosquitto):
    """A mosquitto, and who listens to what the bridge brings there."""

    def __enter__(self):
        self.there = weir.Collector(self.port, "cloud/#", qos=1)
        return self

    def __exit__(self, *error):
        self.go_on()
        self.there.stop()
        super().__exit__(*error)

    def numbers(self):
        return [
            int(text.split(":")[0]) for text in self.there.payloads() if ":" in text
        ]


def metrics(suite):
    """weir-httpd's own counters and gauges; no broker is needed for them."""
    pairs = (
        line.split()
        for line in suite.http("GET", "/metrics")[2].splitlines()
        if line.startswith("weir_httpd_") and "{" not in line
    )
    return {
        name.removeprefix("weir_httpd_").removesuffix("_total"): int(value)
        for name, value in pairs
    }


def wait_metric(suite, name, condition):
    weir.wait_for(name, lambda: condition(metrics(suite)[name]), 60)


def wait_all_pending(suite, crowd):
    """Until all are in the lane or wait for credit; how many are in the lane.

    The broker is stopped, so it stays like this.
    """

    def are_pending():
        now = metrics(suite)
        in_lane = now["committed_messages"]
        return in_lane if in_lane + now["waiting_messages"] == COUNT else 0

    in_lane = weir.wait_for("all are pending", are_pending, 60)
    weir.expect(in_lane > 20, "only %d are in the lane" % in_lane)
    weir.expect(crowd.listen() == 0, "somebody is answered already")
    return in_lane


def expected(in_lane, status):
    """What was not in the lane when its broker went away has not happened."""
    told = {status: in_lane, 503: COUNT - in_lane}
    return {status: count for status, count in told.items() if count}


def outcomes(suite):
    now = metrics(suite)
    return {
        name: now[name + "_messages"]
        for name in ("offered", "accepted", "refused", "unknown")
    }


def warm_up(suite, remote):
    """The account is known to httpd, its lane is open, the bridge is up."""
    weir.expect(suite.publish("cloud/n", "warm-up") == 200, "warm-up")
    remote.there.wait_count(1)
    return outcomes(suite)


def stop_broker(suite):
    broker = suite.pid("weir-broker")
    weir.kill(broker, signal.SIGSTOP)
    return broker


def kill_broker(suite):
    broker = suite.pid("weir-broker")
    weir.kill(broker, signal.SIGKILL)
    weir.wait_for("it is dead", lambda: not weir.is_alive(broker))
    return broker


def reconcile(tap, what, suite, crowd, before):
    """What httpd counted is what its clients were told."""
    count = {name: n - before[name] for name, n in outcomes(suite).items()}
    offered, told = count.pop("offered"), crowd.told
    tap.equal(
        count,
        {
            "accepted": len(told(200)),
            "refused": len(told(429, 503)) if offered else 0,
            "unknown": len(told(504)),
        },
        what + ": httpd counts what its clients were told",
    )
    tap.equal(offered, sum(count.values()), what + ": and it adds up")


def check(tap, what, suite, remote, crowd, before):
    """All are answered: was it the truth?"""
    accepted, unknown = crowd.told(200), crowd.told(504)
    refused = crowd.told(429, 503)
    tap.equal(
        len(accepted | unknown | refused),
        COUNT,
        what + ": everybody is told 200, 429, 503 or 504",
    )
    reconcile(tap, what, suite, crowd, before)
    with tap.case(what + ": all that was answered 200 arrives"):
        weir.wait_for("it does", lambda: accepted <= set(remote.numbers()), 60)
    with tap.case(what + ": the flow is back"):
        weir.wait_for(
            "a new message is accepted",
            lambda: suite.publish("cloud/n", "new " + what) == 200,
            60,
        )
        weir.wait_for(
            "it arrives", lambda: "new " + what in remote.there.payloads()
        )
    with tap.case(what + ": nothing is left in the rings, nobody waits"):
        weir.wait_for(
            "it is so",
            lambda: (rings := suite.rings())
            and all(ring["used"] == 0 for ring in rings),
        )
        for name in ("waiting_messages", "committed_messages"):
            wait_metric(suite, name, lambda value: value == 0)
    # One lane, in order: what was before the new message has come.
    came = collections.Counter(remote.numbers())
    here = set(came) & set(crowd.numbers)
    tap.equal(
        sorted(refused & here), [], what + ": nothing that was refused arrives"
    )
    tap.note(
        "%s: told %r; %d arrived, %d of them again, %d of the unknown"
        % (
            what,
            crowd.summary(),
            len(here),
            sum(came[n] - 1 for n in here),
            len(unknown & here),
        )
    )


def held_for_a_stalled_remote(tap, what):
    with Remote() as remote, weir.Weir(**settings(remote, "64KiB")) as suite:
        before = warm_up(suite, remote)
        remote.stop()
        with Crowd(suite) as crowd:
            crowd.ask()
            wait_metric(suite, "waiting_messages", lambda n: n > COUNT // 2)
            kill_broker(suite)
            weir.wait_for("the broker is back", lambda: suite.pids("weir-broker"))
            suite.wait_ready()
            remote.go_on()
            crowd.wait_answers()
            tap.ok(
                len(crowd.told(200)) > 50 and len(crowd.told(503)) > COUNT // 2,
                what + ": what was not committed is refused, the rest accepted",
                crowd.summary(),
            )
            check(tap, what, suite, remote, crowd, before)


def committed_and_not_taken(tap, what):
    with Remote() as remote, weir.Weir(**settings(remote, "1MiB")) as suite:
        before = warm_up(suite, remote)
        stop_broker(suite)
        with Crowd(suite) as crowd:
            crowd.ask()
            in_lane = wait_all_pending(suite, crowd)
            kill_broker(suite)
            crowd.wait_answers()
            tap.equal(
                crowd.summary(),
                expected(in_lane, 200),
                what + ": the next broker takes what was committed, and only that",
            )
            check(tap, what, suite, remote, crowd, before)


def asked_who_they_are(tap, what):
    with Remote() as remote, weir.Weir(**settings(remote, "1MiB")) as suite:
        before = outcomes(suite)
        stop_broker(suite)
        with Crowd(suite) as crowd:
            crowd.ask()
            wait_metric(suite, "auth_asked", lambda n: n == COUNT)
            kill_broker(suite)
            crowd.wait_answers()
            tap.equal(
                len(crowd.told(503)), COUNT, what + ": all are asked to come again"
            )
            check(tap, what, suite, remote, crowd, before)
        # The question was still in the ring: its answer is nobody's.
        wait_metric(suite, "receipts_ignored", lambda n: n == 1)


def in_the_middle(tap, what):
    """Killed when so many are answered; some come through one connection."""
    first = 0
    with Remote() as remote, weir.Weir(**settings(remote, "64KiB")) as suite:
        warm_up(suite, remote)
        for answers, each in ((1, 1), (COUNT // 4, 1), (1, 10), (COUNT // 4, 10)):
            name = "%s, %d answers, %d each" % (what, answers, each)
            before = outcomes(suite)
            with Crowd(suite, first, each) as crowd:
                first += COUNT
                broker = stop_broker(suite)
                crowd.ask()
                weir.kill(broker, signal.SIGCONT)
                crowd.wait_answers(answers)
                kill_broker(suite)
                crowd.wait_answers()
                check(tap, name, suite, remote, crowd, before)


def longer_than_the_deadline(tap, what):
    keys = dict(receipt_timeout="2s")
    with Remote() as remote, weir.Weir(
        **settings(remote, "1MiB", **keys)
    ) as suite:
        before = warm_up(suite, remote)
        stop_broker(suite)
        with Crowd(suite) as crowd:
            crowd.ask()
            in_lane = wait_all_pending(suite, crowd)
            suite.child.send_signal(signal.SIGSTOP)
            kill_broker(suite)
            crowd.wait_answers()
            suite.child.send_signal(signal.SIGCONT)
            tap.equal(
                crowd.summary(),
                expected(in_lane, 504),
                what + ": what was committed is told 504 in time",
            )
            check(tap, what, suite, remote, crowd, before)


def with_nobody_to_keep_the_rings(tap, what):
    """The living programs hand them to the next broker, started by hand."""
    with Remote() as remote, ByHand(**settings(remote, "1MiB")) as suite:
        before = warm_up(suite, remote)
        stop_broker(suite)
        with Crowd(suite) as crowd:
            crowd.ask()
            in_lane = wait_all_pending(suite, crowd)
            suite.kill_broker()
            suite.start_broker()
            crowd.wait_answers()
            tap.equal(
                crowd.summary(),
                expected(in_lane, 200),
                what + ": the next broker takes what was committed, and only that",
            )
            check(tap, what, suite, remote, crowd, before)


def by_hand_and_too_late(tap, what):
    keys = dict(receipt_timeout="2s")
    with Remote() as remote, ByHand(**settings(remote, "1MiB", **keys)) as suite:
        before = warm_up(suite, remote)
        stop_broker(suite)
        with Crowd(suite) as crowd:
            crowd.ask()
            in_lane = wait_all_pending(suite, crowd)
            suite.kill_broker()
            crowd.wait_answers()
            tap.equal(
                crowd.summary(),
                expected(in_lane, 504),
                what + ": what was committed is told 504 in time",
            )
            suite.start_broker()
            check(tap, what, suite, remote, crowd, before)


GROUPS = (
    held_for_a_stalled_remote,
    committed_and_not_taken,
    asked_who_they_are,
    in_the_middle,
    longer_than_the_deadline,
    with_nobody_to_keep_the_rings,
    by_hand_and_too_late,
)


def main():
    tap = weir.Tap(limit=600)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    want = max(soft, 4 * COUNT)
    resource.setrlimit(resource.RLIMIT_NOFILE, (want, max(hard, want)))
    for group in GROUPS:
        what = group.__name__.replace("_", " ")
        with tap.case(what + ": the suite ends in order"):
            group(tap, what)
    tap.done()


if __name__ == "__main__":
    main()
