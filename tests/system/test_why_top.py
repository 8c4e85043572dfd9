#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""`weirctl why` and `weirctl top`, whatever is stopped or dead.

Two bridges to one remote; `cloud` is in trouble in one way after another,
`plant` is asked about beside it.
"""

import contextlib
import csv
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

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


def top(suite, *arguments):
    """The rows of `weirctl top --batch --count 1`."""
    text = suite.ctl("top", "--batch", "--count", "1", *arguments)
    return list(csv.DictReader(text.splitlines()))


def wait_top(suite, name, states, held_by):
    """Until top shows the ring in one of the states, held by that."""

    def is_it():
        rows = [row for row in top(suite) if row["name"] == name]
        return len(rows) == 1 and (
            rows[0]["state"] in states.split() and held_by in rows[0]["held_by"]
        )

    weir.wait_for("%s is %s, held by %s" % (name, states, held_by), is_it)


class Screen:
    """`weirctl top` in a terminal of its own."""

    def __init__(self, suite, term):
        self.seen = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            env = dict(os.environ, TERM=term, LC_ALL="C.UTF-8")
            env[weir.MARK] = suite.box.mark
            words = ["weirctl", "top", "-c", suite.config, "-i", "100ms"]
            os.execve(weir.program("weirctl"), words, env)
        self.resize(24, 100)

    def resize(self, lines, columns):
        size = struct.pack("HHHH", lines, columns, 0, 0)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, size)

    def press(self, keys):
        self.seen = ""
        os.write(self.fd, keys.encode())

    def shows(self, text, seconds=20):
        deadline = time.monotonic() + seconds
        while text not in self.seen:
            weir.expect(
                time.monotonic() < deadline, "no %r in %r" % (text, self.seen)
            )
            if select.select([self.fd], [], [], 0.1)[0]:
                self.seen += os.read(self.fd, 65536).decode(errors="replace")

    def wait_end(self):
        """Its exit status; what it still writes is read away."""

        def ended():
            if select.select([self.fd], [], [], 0)[0]:
                with contextlib.suppress(OSError):
                    os.read(self.fd, 65536)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            return (status,) if pid else None

        return weir.wait_for("top ends", ended)[0]

    def close(self):
        os.close(self.fd)


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
    with tap.case("top shows the same, the worst first"):
        wait_top(suite, "broker→cloud", "blocked", "remote: ")
        wait_top(suite, "httpd→broker/cloud", "blocked", "bridge cloud")
        rows = top(suite, "--sort", "state")
        weir.expect(rows[0]["state"] == "blocked", rows)
        rows = top(suite, "--filter", "plant")
        weir.expect(
            {row["name"] for row in rows} == {"broker→plant", "plant→broker"}, rows
        )
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
        if process != "weir-broker":
            with tap.case("top shows who holds the ring: %s" % process):
                wait_top(suite, "broker→cloud", "blocked", "bridge cloud is stopped")
        else:
            with tap.case("top works while the broker is stopped"):
                wait_top(suite, "broker→cloud", "blocked", "remote: ")
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
        with tap.case("top shows the rings of a killed %s" % process):
            lane = "broker→" + name
            held = "" if process == "weir-broker" else "bridge cloud is dead"
            # Who notices that the broker is gone detaches.
            wait_top(suite, lane, "peer_dead detached", held)
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


def check_screen(tap, suite):
    for term in ("xterm", "vt100"):
        screen = Screen(suite, term)
        try:
            with tap.case("top follows its keys on a %s" % term):
                screen.shows("broker→cloud")
                screen.shows("q quit")
                coloured = re.search(r"\x1b\[(\d+;)*3[0-7]m", screen.seen)
                weir.expect(bool(coloured) == (term == "xterm"), screen.seen)
                for keys, answer in (("p", "PAUSED"), ("h", "Keys"), ("hp/none", "No ring")):
                    screen.press(keys)
                    screen.shows(answer)
                screen.press("\x1b")
                screen.shows("broker→plant")
            with tap.case("top survives any size on a %s" % term):
                for size in ((1, 1), (3, 20), (12, 60), (50, 200)):
                    screen.press("")
                    screen.resize(*size)
                    if size[1] >= 60:
                        screen.shows("broker→cloud")
            with tap.case("top ends with q on a %s" % term):
                screen.press("q")
                weir.expect(screen.wait_end() == 0, "its exit")
        finally:
            screen.close()


def check(tap, suite, remote):
    with tap.case("at first nothing is blocked"):
        wait_no_trouble(suite)
        answer = Answer(suite)
        weir.expect(answer.text.startswith("nothing is blocked.\n"), answer)

    with tap.case("top prints its columns once, and as many looks as wanted"):
        lines = suite.ctl("top", "--batch", "-n", "3", "-i", "100ms").splitlines()
        weir.expect(
            lines[0] == "time,name,state,used,capacity,max_capacity,high_water,"
            "in_per_s,out_per_s,lag_ms,held_by",
            lines[0],
        )
        weir.expect(sum(",broker→cloud," in line for line in lines) == 3, lines)
        weir.expect(sum(line.startswith("time,") for line in lines) == 1, lines)
    check_screen(tap, suite)

    remote.stop()
    publisher = suite.mqtt("plc7")
    web = weir.Http(suite.http_port)
    try:
        fill(publisher, "cloud/a", 300)
        weir.wait_for(
            "the ring is blocked",
            lambda: suite.ring_is("broker→cloud", state="blocked"),
        )
        # As large as the others: a smaller one might still find room.
        text = "by web" + "x" * 1000
        body = json.dumps({"topic": "cloud/b", "payload": text, "qos": 1})
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
