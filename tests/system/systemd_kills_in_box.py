#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""systemd_kills_in_box - run as a service of a freshly booted systemd in
which Weir is installed.

Numbered messages go in by HTTP all the time while the remote stands still;
programs are killed in every combination, units are restarted.  When the
remote goes on, each number that was answered 200 must arrive, in order.
"""

import itertools
import json
import os
import signal
import struct
import subprocess
import threading
import time

import weir

HTTP_PORT, REMOTE_PORT = 8081, 1884
BROKER, HTTPD, BRIDGE = "weir-broker", "weir-httpd", "weir-bridged@cloud"
UNITS = (BROKER, HTTPD, BRIDGE)
SOCKET = "weir-broker.socket"
KIB = 1024
CAPACITY = 256 * KIB
STORM = 12  # times that the broker is killed as soon as it is there
SLOW = 60  # seconds that nothing here should ever take
HONEST = {0, 429, 503, 504}  # answers, or none, after which to try again
RING_MAGIC, ROLE_AT, ROLE_BROKER = b"WIRRING1", 44, 1

CONFIGURATION = """
run_dir = "/run/weir";
state_dir = "/var/lib/weir";
listeners = ( { bind = "127.0.0.1:1883"; } );
durability = "disk";
accounts = ( { name = "admin"; password = "public"; } );
http = { bind = "127.0.0.1:%d"; };
bridges = ( { name = "cloud"; url = "mqtt://127.0.0.1:%d";
              forward = ( { filter = "bridge/#"; qos = 1; } );
              ring = { capacity = "256KiB"; max_capacity = "16MiB"; };
              retry_max = "1s"; } );
""" % (HTTP_PORT, REMOTE_PORT)

REMOTE = """
listener %d 127.0.0.1
allow_anonymous true
max_queued_messages 0
""" % REMOTE_PORT


def run(*words, check=True):
    """The output of a command."""
    done = subprocess.run(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=SLOW,
        encoding="utf-8",
        errors="replace",
    )
    if check and done.returncode != 0:
        raise AssertionError(
            "%s: exit %d: %s" % (" ".join(words), done.returncode, done.stdout)
        )
    return done.stdout


def show(unit, name):
    return run("systemctl", "show", "-p", name, "--value", unit).strip()


def main_pid(unit):
    return int(show(unit, "MainPID"))


def is_active(unit):
    return run("systemctl", "is-active", unit, check=False).strip() == "active"


def has_stopped(unit):
    return show(unit, "ActiveState") == "inactive" and main_pid(unit) == 0


def logged(unit, since="-1h"):
    """What a unit wrote to the journal."""
    run("journalctl", "--sync")
    return run("journalctl", "-q", "-o", "cat", "--since", since, "-u", unit)


def rings():
    """The lanes by their names."""
    return {lane["name"]: lane for lane in json.loads(run("weirctl", "rings", "--json"))}


def stored(unit):
    return int(show(unit, "NFileDescriptorStore"))


class Traffic(threading.Thread):
    """Publishes numbers from `first` on, each until it is answered 200."""

    PAUSE = 0.005

    def __init__(self, first=0):
        super().__init__(daemon=True)
        self.answered = first  # all numbers below were answered 200
        self.others = {}  # how often which other answer was had
        self.padding = 64
        self.stopping = False
        self.start()

    def publish(self, connection):
        message = "%d %s" % (self.answered, "." * self.padding)
        return connection.request(
            "POST",
            "/api/v4/mqtt/publish",
            json.dumps({"topic": "bridge/n", "payload": message, "qos": 1}),
        )[0]

    def run(self):
        connection = None
        while not self.stopping:
            time.sleep(self.PAUSE)
            try:
                if connection is None:
                    connection = weir.Http(HTTP_PORT)
                status = self.publish(connection)
            except (OSError, EOFError):
                if connection is not None:
                    connection.close()
                connection = None
                status = 0
            if status == 200:
                self.answered += 1
                continue
            self.others[status] = self.others.get(status, 0) + 1
            time.sleep(0.05)

    def more(self, count, why):
        """Wait until so many more were answered."""
        goal = self.answered + count
        weir.wait_for(
            "%d more messages are answered 200 %s (others: %r)"
            % (count, why, self.others),
            lambda: self.answered >= goal,
            SLOW,
        )

    def stop(self):
        self.stopping = True
        self.join(timeout=SLOW)
        weir.expect(not self.is_alive(), "a request without an end")


class Remote:
    """A mosquitto, and a subscriber that collects the numbers."""

    def __init__(self):
        run("systemctl", "stop", "mosquitto", check=False)
        with open("/run/remote.conf", "w") as f:
            f.write(REMOTE)
        run(
            "systemd-run", "--quiet", "--unit=remote",
            "/usr/sbin/mosquitto", "-c", "/run/remote.conf",
        )
        weir.wait_for("the remote answers", self.answers, SLOW)
        self.collector = weir.Collector(REMOTE_PORT, "bridge/#", qos=1)

    @staticmethod
    def answers():
        try:
            weir.Mqtt(REMOTE_PORT, "ready?").close()
            return True
        except (OSError, EOFError):
            return False

    @staticmethod
    def stop():
        os.kill(main_pid("remote"), signal.SIGSTOP)

    @staticmethod
    def go_on():
        os.kill(main_pid("remote"), signal.SIGCONT)

    def numbers(self):
        return [int(payload.split()[0]) for payload in self.collector.payloads()]


def wait_back(former):
    """Wait until each unit of {unit: former pid} runs again."""
    for unit, pid in former.items():
        weir.wait_for(
            unit + " is back",
            lambda: is_active(unit) and main_pid(unit) not in (0, pid),
            SLOW,
        )


def kill(units):
    """kill -9 them all at once; {unit: its former pid}."""
    pids = {unit: main_pid(unit) for unit in units}
    for pid in pids.values():
        os.kill(pid, signal.SIGKILL)
    return pids


def weirctl_sees(words):
    """Do rings and why work, and does why name the remote?"""
    lanes = rings()
    for name in ("httpd→broker", "httpd→broker/cloud", "broker→cloud"):
        weir.expect(name in lanes, "%s: no lane %s" % (words, name))
    lane = lanes["broker→cloud"]
    weir.expect(lane["producer_pid"] == main_pid(BROKER), "producer_pid")
    weir.expect(lane["consumer_pid"] == main_pid(BRIDGE), "consumer_pid")
    weir.expect(lane["used"] > 0, "nothing waits for a remote that stands still")
    said = run("weirctl", "why", "cloud", check=False)
    weir.expect("remote" in said, "%s: why says: %s" % (words, said))


def kills(tap, traffic):
    """Each combination of the three; what the FD store holds after each."""
    traffic.more(50, "before the first kill")
    before = {unit: stored(unit) for unit in UNITS}
    tap.note("descriptors kept: %r" % before)
    weir.expect(before[BROKER] >= 5, "the broker has stored no rings")
    for size in (1, 2, 3):
        for units in itertools.combinations(UNITS, size):
            words = "kill -9 of " + ", ".join(units)
            with tap.case(words + ": all come back, and the flow with them"):
                wait_back(kill(units))
                traffic.more(50, "after " + words)
            with tap.case(words + ": weirctl rings and why work"):
                weirctl_sees(words)
            tap.equal(
                {unit: stored(unit) for unit in UNITS},
                before,
                words + ": the descriptor store has not grown",
            )
    return before


def storm(tap, traffic):
    """The broker is killed whenever it is there, also while it adopts."""
    pid = 0
    for _ in range(STORM):
        pid = weir.wait_for(
            "the broker is started again",
            lambda: main_pid(BROKER) not in (0, pid) and main_pid(BROKER),
            SLOW,
        )
        os.kill(pid, signal.SIGKILL)
    with tap.case("a broker that was killed %d times is there again" % STORM):
        wait_back({BROKER: pid})
        traffic.more(50, "after a storm of kills")


def restarts(tap, traffic):
    for what in (BROKER, HTTPD, BRIDGE, "weir.target"):
        with tap.case("systemctl restart %s: the flow goes on" % what):
            units = UNITS if what == "weir.target" else (what,)
            former = {unit: main_pid(unit) for unit in units}
            run("systemctl", "restart", what)
            wait_back(former)
            traffic.more(50, "after restart of " + what)
            weirctl_sees("restart of " + what)


def growth(tap, traffic):
    """Large messages: both rings on their way grow, and survive grown."""
    names = ("broker→cloud",)
    charged = {unit: int(show(unit, "MemoryCurrent")) for unit in UNITS}
    with tap.case("rings grow within what systemd lets the units have"):
        traffic.padding = 16 * KIB
        weir.wait_for(
            "the ring to the bridge has grown",
            lambda: all(rings()[n]["capacity"] >= 4 * CAPACITY for n in names),
            SLOW,
            pause=0.2,
        )
        traffic.padding = 64
        for lane in rings().values():
            weir.expect(lane["grow_failures"] == 0, "no memory: %r" % lane)
    now = {unit: int(show(unit, "MemoryCurrent")) for unit in UNITS}
    for unit in UNITS:
        tap.note(
            "MemoryCurrent of %s: %d KiB, before growth %d KiB"
            % (unit, now[unit] // KIB, charged[unit] // KIB)
        )
    with tap.case("who makes a ring grow is charged for it"):
        weir.expect(now[BROKER] - charged[BROKER] > CAPACITY, repr((charged, now)))
    with tap.case("kill -9 of all three with grown rings"):
        wait_back(kill(UNITS))
        traffic.more(50, "after a kill with grown rings")
        weir.expect(
            all(rings()[n]["capacity"] >= 4 * CAPACITY for n in names), "smaller"
        )


def all_arrived(tap, traffic, remote):
    count = traffic.answered
    tap.note("answered 200: %d; other answers: %r" % (count, traffic.others))
    remote.go_on()
    with tap.case("all that was answered 200 arrives, in order"):
        weir.wait_for(
            "number %d arrives" % (count - 1),
            lambda: remote.collector.broken or count - 1 in remote.numbers(),
            SLOW,
        )
        got = remote.numbers()
        first = list(dict.fromkeys(n for n in got if n < count))
        missing = sorted(set(range(count)) - set(first))
        weir.expect(not missing, "missing: %r" % missing[:20])
        weir.expect(first == list(range(count)), "out of order")
        weir.expect(
            set(traffic.others) <= HONEST, "other answers: %r" % traffic.others
        )
        tap.note("arrived: %d, of them again: %d" % (len(got), len(got) - len(set(got))))


def brokers_side(pid):
    """Where a program has the memory that only the broker may write."""
    for name in os.listdir("/proc/%d/fd" % pid):
        path = "/proc/%d/fd/%s" % (pid, name)
        if not os.readlink(path).startswith("/memfd:"):
            continue
        with open(path, "rb") as f:
            header = f.read(ROLE_AT + 4)
        if header[:8] != RING_MAGIC:
            continue
        if struct.unpack_from("=I", header, ROLE_AT)[0] == ROLE_BROKER:
            return path
    raise AssertionError("process %d has no memory of the broker" % pid)


def can_reopen(user, path):
    """Can that user open what is open for reading again, for writing?"""
    script = "import os, sys; os.open('/proc/self/fd/' + sys.argv[1], os.O_RDWR)"
    fd = os.open(path, os.O_RDONLY)
    done = subprocess.run(
        ["setpriv", "--reuid", user, "--regid", "weir", "--clear-groups"]
        + ["/usr/bin/python3", "-c", script, str(fd)],
        pass_fds=[fd],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=SLOW,
        encoding="utf-8",
    )
    os.close(fd)
    weir.expect(
        done.returncode == 0 or "PermissionError" in done.stdout, done.stdout
    )
    return done.returncode == 0


def users_are_a_wall(tap):
    for unit, user in ((HTTPD, "weir-httpd"), (BRIDGE, "weir-bridged")):
        with tap.case(user + " cannot open the broker's memory for writing"):
            path = brokers_side(main_pid(unit))
            weir.expect(not can_reopen(user, path), "it can")
            # The same by its owner, or this would show nothing.
            weir.expect(can_reopen("weir-broker", path), "nobody can")


def stop_and_start(tap, remote):
    """The rings do not outlive a stop; what was in them does."""
    before = len(remote.collector.messages)
    remote.stop()
    traffic = Traffic()
    traffic.more(20, "before the stop")
    traffic.stop()
    since = "@%d" % time.time()
    run("systemctl", "stop", "weir.target")
    # A start that comes before the end of it makes it a restart.
    for unit in UNITS:
        weir.wait_for(unit + " has stopped", lambda: has_stopped(unit), SLOW)
    with tap.case("systemctl stop: the log says that something is in the journal"):
        text = logged(BROKER, since)
        weir.expect('event=backlog_kept bridge="cloud" messages=' in text, text[-2000:])
    tap.equal(
        [stored(unit) for unit in UNITS], [0, 0, 0], "the descriptor store is empty"
    )
    run("systemctl", "start", "weir.target")
    remote.go_on()
    with tap.case("systemctl start: what was answered 200 arrives, and the flow is back"):
        wait_back({unit: 0 for unit in UNITS})
        traffic = Traffic(first=traffic.answered)
        traffic.more(20, "after the start")
        traffic.stop()
        weir.wait_for(
            "all arrive",
            lambda: traffic.answered - 1 in remote.numbers()[before:],
            SLOW,
        )
        first = list(dict.fromkeys(remote.numbers()[before:]))
        weir.expect(first == list(range(traffic.answered)), repr(first)[:300])


def none_failed(tap):
    for unit in (*UNITS, SOCKET, "weir.target"):
        tap.ok(is_active(unit), unit + " is active", run("systemctl", "status", unit, check=False))
    for unit in UNITS:
        tap.note("%s was restarted %s times" % (unit, show(unit, "NRestarts")))
        text = logged(unit)
        for word in ("start-limit-hit", "trigger-limit-hit", "event=bug", "ring_not_kept"):
            tap.ok(word not in text, "%s: no %s" % (unit, word))


def main():
    tap = weir.Tap(limit=200)
    with open("/etc/weir/weir.conf", "w") as f:
        f.write(CONFIGURATION)
    run("systemd-sysusers")
    run("systemd-tmpfiles", "--create", "/usr/lib/tmpfiles.d/weir.conf")
    run("systemctl", "daemon-reload")
    remote = Remote()
    run("systemctl", "--quiet", "enable", "weir.target", *UNITS)
    run("systemctl", "start", "weir.target")
    with tap.case("weir.target starts all three"):
        wait_back({unit: 0 for unit in UNITS})
    traffic = Traffic()
    weir.wait_for("the first message arrives", remote.numbers, SLOW)
    remote.stop()
    users_are_a_wall(tap)
    kills(tap, traffic)
    storm(tap, traffic)
    restarts(tap, traffic)
    growth(tap, traffic)
    traffic.stop()
    all_arrived(tap, traffic, remote)
    stop_and_start(tap, remote)
    none_failed(tap)
    tap.done()


if __name__ == "__main__":
    main()
