#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""`weirctl why` names whoever holds things up, whatever is stopped or dead.

Two bridges to one remote; `cloud` is in trouble in one way after another,
`plant` is asked about beside it.
"""

import json
import signal
import subprocess

import weir

RING = {"capacity": "64KiB", "max_capacity": "64KiB"}


class Answer:
    """What `weirctl why` printed, and its exit code."""

    def __init__(self, suite, *arguments):
        done = subprocess.run(
            [weir.program("weirctl"), "why", *arguments, "-c", suite.config],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=20,
            encoding="utf-8",
        )
        self.code = done.returncode
        self.text = done.stdout + done.stderr
        self.troubles = []
        if "--json" in arguments and done.stdout:
            whole = json.loads(done.stdout)
            self.troubles = whole["troubles"]
            weir.expect(whole["blocked"] == bool(self.troubles), self.text)

    def __str__(self):
        return "exit %d\n%s" % (self.code, self.text)


def wait_trouble(suite, name, kind, **fields):
    """Until the one trouble of `name` is this; the trouble."""
    last = [None]

    def is_it():
        last[0] = answer = Answer(suite, "--json", name)
        if len(answer.troubles) != 1 or answer.code != 1:
            return None
        trouble = answer.troubles[0]
        right = trouble["kind"] == kind and all(
            trouble[key] == value for key, value in fields.items()
        )
        return trouble if right else None

    try:
        return weir.wait_for("%s of %s" % (kind, name), is_it)
    except AssertionError as error:
        raise AssertionError("%s; it is\n%s" % (error, last[0])) from None


def wait_no_trouble(suite):
    weir.wait_for(
        "nothing is blocked", lambda: Answer(suite, "--json").code == 0, 60
    )


def fill(client, topic, count):
    """More than the ring and the worker's window take."""
    for number in range(count):
        client.send(
            weir.publish_packet(topic, "%06d" % number + "x" * 1000, 1, number + 1)
        )


def check_stalled_remote(tap, suite, remote):
    with tap.case("a stalled remote is named with its window, and who waits"):
        trouble = wait_trouble(
            suite, "cloud", "remote_stalls", process_state="alive", subject="cloud"
        )
        far = trouble["remote"]
        weir.expect(far["address"] == "127.0.0.1:%d" % remote.port, trouble)
        weir.expect(0 < far["in_flight"] <= far["window"], trouble)
        weir.expect("broker→cloud" in trouble["lanes"], trouble)
    with tap.case("the publisher and the HTTP client that it holds are named"):

        def both():
            trouble = Answer(suite, "--json", "cloud").troubles[0]
            return (
                trouble["publishers"]["names"] == "plc7"
                and trouble["http_clients"]["names"] == "admin"
            )

        weir.wait_for("both are named", both)
        answer = Answer(suite, "cloud")
        for part in (
            "cloud is blocked: remote 127.0.0.1:%d has" % remote.port,
            "unacknowledged for",
            "httpd holds 1 client (admin) and the broker 1 publisher (plc7) for it",
        ):
            weir.expect(part in answer.text, "no %r in %s" % (part, answer))
    with tap.case("it is found by the names of the lanes that wait, too"):
        for name in ("broker→cloud", "broker->cloud", "httpd→broker/cloud"):
            wait_trouble(suite, name, "remote_stalls", subject="cloud")
    with tap.case("what is not held up says so"):
        answer = Answer(suite, "plant")
        weir.expect(answer.code == 0, answer)
        weir.expect("plant: nothing is blocked" in answer.text, answer)
    with tap.case("a name that there is not is refused, and all are listed"):
        answer = Answer(suite, "clouds")
        weir.expect(answer.code == 64, answer)
        weir.expect("broker→cloud" in answer.text, answer)
    with tap.case("weirctl rings says what to ask next"):
        weir.wait_for(
            "the closing line",
            lambda: "blocked. Next: weirctl why cloud\n" in suite.ctl("rings"),
        )


def check_stopped(tap, suite, name, pid, process):
    weir.kill(pid, signal.SIGSTOP)
    try:
        with tap.case("a stopped %s is told, and how to let it go on" % process):
            trouble = wait_trouble(
                suite,
                name,
                "process",
                process=process,
                process_state="stopped",
                pid=pid,
            )
            weir.expect("is stopped by a signal" in trouble["sentence"], trouble)
            weir.expect(
                trouble["next"][0]["command"] == "kill -CONT %d" % pid, trouble
            )
    finally:
        weir.kill(pid, signal.SIGCONT)


def check_killed(tap, suite, name, pid, process):
    # Nobody may restart it while we look.
    weir.kill(suite.child.pid, signal.SIGSTOP)
    try:
        weir.kill(pid, signal.SIGKILL)
        with tap.case("a killed %s is told from a stopped one" % process):
            trouble = wait_trouble(
                suite, name, "process", process=process, process_state="dead", pid=pid
            )
            weir.expect("is dead" in trouble["sentence"], trouble)
    finally:
        weir.kill(suite.child.pid, signal.SIGCONT)


def check_away(tap, suite, remote):
    remote.kill()
    try:
        weir.expect(suite.mqtt("late").publish("cloud/late", "late", 1), "no")
        with tap.case("a remote that is away is told with its last words"):
            trouble = wait_trouble(suite, "cloud", "remote_away")
            weir.wait_for(
                "the error is told",
                lambda: "refused"
                in str(Answer(suite, "--json", "cloud").troubles[0]["remote"]["error"]),
            )
            weir.expect("is not connected for" in trouble["sentence"], trouble)
    finally:
        remote.start()
    with tap.case("when it is back, nothing is blocked"):
        wait_no_trouble(suite)


def check(tap, suite, remote):
    with tap.case("at first nothing is blocked"):
        wait_no_trouble(suite)
        answer = Answer(suite)
        weir.expect(answer.text.startswith("nothing is blocked.\n"), answer)

    remote.stop()
    publisher = suite.mqtt("plc7")
    web = weir.Http(suite.http_port)
    try:
        fill(publisher, "cloud/a", 300)
        weir.wait_for(
            "the ring is blocked",
            lambda: suite.ring_is("broker→cloud", state="blocked"),
        )
        body = json.dumps({"topic": "cloud/b", "payload": "by web", "qos": 1})
        web.send(web.head("POST", "/api/v4/mqtt/publish", len(body)) + body.encode())
        check_stalled_remote(tap, suite, remote)
        bridge = suite.pid("weir-bridged", "cloud")
        check_stopped(tap, suite, "cloud", bridge, "weir-bridged cloud")
        broker = suite.pid("weir-broker")
        check_stopped(tap, suite, "cloud", broker, "weir-broker")
        check_killed(tap, suite, "cloud", bridge, "weir-bridged cloud")
    finally:
        remote.go_on()
    with tap.case("when all goes on, nothing is blocked and all is answered"):
        for _ in range(300):
            publisher.expect(weir.PUBACK, 30)
        weir.expect(web.response()[0] == 200, "the HTTP client")
        wait_no_trouble(suite)
    publisher.close()
    web.close()
    check_away(tap, suite, remote)
    check_killed(tap, suite, "plant", suite.pid("weir-broker"), "weir-broker")
    with tap.case("after the restart nothing is blocked"):
        wait_no_trouble(suite)


def main():
    tap = weir.Tap()
    with weir.Mosquitto() as remote:
        bridges = [
            {
                "name": name,
                "url": "mqtt://127.0.0.1:%d" % remote.port,
                "forward": [{"filter": name + "/#", "qos": 1}],
                "ring": RING,
                "retry_min": "100ms",
                "retry_max": "1s",
            }
            for name in ("cloud", "plant")
        ]
        with tap.case("the suite ends in order"):
            with weir.Weir(
                workers=1,
                worker_window="64KiB",
                bridges=bridges,
                http={"receipt_timeout": "120s", "stall_timeout": "120s"},
            ) as suite:
                check(tap, suite, remote)
        with tap.case("without any ring it says so"):
            with weir.Weir(bridges=bridges) as suite:
                suite.shut_down()
                answer = Answer(suite)
                weir.expect(answer.code == 69, answer)
                weir.expect("no weir-broker runs" in answer.text, answer)
    tap.done()


if __name__ == "__main__":
    main()
