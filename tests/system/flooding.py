# SPDX-License-Identifier: Apache-2.0

"""flooding - what a flood is made of, and who judges it.

bench/flood-clients floods and notes what became of each number; bench/remote
or a real mosquitto stands at the far end and notes what came.  judge()
compares the two.  Neighbours, who have nothing to do with the bridge in
trouble, run in processes of their own meanwhile.

What is counted, for each producer, whose topic is its own:

lost        answered 200, PUBACK or PUBREC, and not at the remote
refused_in  answered 429, 503 or a reason, and at the remote all the same
twice       QoS 2: at the remote more than once
around      QoS 1, at the remote again with DUP, over a later connection of
            the bridge and among the first AGAIN of it: what was under way
            when the connection ended, and what the remote had acknowledged
            behind a QoS 2 message that was not done.  A mosquitto tells no
            connections; then: no more than AGAIN behind the first.
stray       QoS 1, at the remote again, and not so
resent      QoS 1, at the remote again, and its publisher had sent it again
unordered   came first after a greater number did
"""

import collections
import multiprocessing
import os
import random
import socket
import subprocess
import threading
import time

import weir

fork = multiprocessing.get_context("fork")

AGAIN = 4 * 20  # max_inflight of a bridge, as it comes, is 20

Producer = collections.namedtuple(
    "Producer", "name topic qos reconnects lost_sessions outcomes"
)
Arrival = collections.namedtuple(
    "Arrival", "connection position us qos flags topic producer number"
)


def bench(name):
    path = os.path.join(weir.BUILD, "bench", name)
    if not os.access(path, os.X_OK):
        raise AssertionError("%s is not built: make bench/%s" % (path, name))
    return path


# ------------------------------------------------------- the far end


class Remote:
    """bench/remote: an MQTT server that misbehaves when it is told to."""

    def __init__(self, port=0, receive_maximum=0):
        self.box = weir.Box()
        argv = [bench("remote"), "-p", str(port), "-R", str(receive_maximum)]
        self.errors = os.path.join(self.box.dir, "remote.log")
        with open(self.errors, "ab") as log:
            self.child = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=dict(os.environ, **{weir.MARK: self.box.mark}),
                encoding="utf-8",
                start_new_session=True,
            )
        self.box.children.append(self.child)
        self.lock = threading.Lock()
        self.port = int(self.child.stdout.readline().split()[1])

    def tell(self, command):
        """Its answer, less the "ok"."""
        with self.lock:
            self.child.stdin.write(command + "\n")
            self.child.stdin.flush()
            answer = self.child.stdout.readline()
        weir.expect(answer.startswith("ok"), "%s: %r" % (command, answer))
        return answer[2:].strip()

    def report(self):
        return {
            key: int(value)
            for key, value in (w.split("=") for w in self.tell("report").split())
        }

    def count(self):
        return self.report()["noted"]

    def arrivals(self):
        """All that came, in order."""
        path = os.path.join(self.box.dir, "ledger")
        self.tell("dump " + path)
        found = []
        with open(path, encoding="utf-8") as f:
            for line in f:
                c, p, us, qos, flags, topic, producer, number = line.split(" ")
                found.append(
                    Arrival(
                        int(c), int(p), int(us), int(qos), flags, topic,
                        producer, int(number),
                    )
                )
        report = self.report()
        weir.expect(report["missed"] == 0, "the ledger is full: %r" % report)
        return found

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.stdin.close()
        self.child.stdout.close()
        self.box.end()


class Witness:
    """What subscribers of a real mosquitto get, as a ledger.

    One subscriber for each QoS: with both in one session, mosquitto 2.0.11
    itself changes the order of what it sends.
    """

    def __init__(self, remote):
        self.collectors = [
            weir.Collector(remote.port, "bridge/q%d/#" % qos, qos=qos)
            for qos in (1, 2)
        ]

    def count(self):
        return sum(len(one.messages) for one in self.collectors)

    def arrivals(self):
        found = []
        for one in self.collectors:
            weir.expect(one.broken is None, "a witness: %r" % one.broken)
            for position, message in enumerate(list(one.messages)):
                producer, number = message.payload.split(b" ")[:2]
                found.append(
                    Arrival(
                        0, position, int(message.arrived * 1e6), message.qos,
                        "-", message.topic, producer.decode(), int(number),
                    )
                )
        return found

    def stop(self):
        for one in self.collectors:
            one.stop()


# ------------------------------------------------------- who floods


class Clients(threading.Thread):
    """bench/flood-clients under way."""

    def __init__(self, box, *options):
        super().__init__(daemon=True)
        self.file = os.path.join(box.dir, "outcomes")
        self.progress = collections.Counter()
        self.done = None
        self.child = subprocess.Popen(
            [bench("flood-clients"), "-o", self.file]
            + [str(option) for option in options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env=dict(os.environ, **{weir.MARK: box.mark}),
            encoding="utf-8",
            start_new_session=True,
        )
        box.children.append(self.child)
        self.start()

    def run(self):
        for line in self.child.stdout:
            kind, _, rest = line.partition(" ")
            values = {
                key: int(value)
                for key, value in (word.split("=") for word in rest.split())
            }
            self.progress = collections.Counter(values)
            if kind == "done":
                self.done = values

    def wait(self, seconds):
        """The figures of its last line."""
        weir.expect(self.child.wait(timeout=seconds) == 0, "flood-clients failed")
        self.join(5)
        self.child.stdout.close()
        weir.expect(self.done is not None, "flood-clients said nothing")
        return self.done

    def producers(self):
        found = []
        with open(self.file, encoding="ascii") as f:
            for line in f:
                name, topic, qos, reconnects, lost, outcomes = line[:-1].split(" ")
                found.append(
                    Producer(
                        name, topic, int(qos), int(reconnects), int(lost), outcomes
                    )
                )
        return found


# ------------------------------------------------------- the verdict


class Verdict:
    """The counts that the head of this file names, and examples of each."""

    WRONG = ("lost", "refused_in", "twice", "stray", "unordered", "foreign")

    def __init__(self):
        self.counts = collections.Counter()
        self.examples = collections.defaultdict(list)

    def note(self, what, producer, number):
        self.counts[what] += 1
        if len(self.examples[what]) < 5:
            self.examples[what].append("%s %s" % (producer, number))

    def __getattr__(self, name):
        return self.counts[name]

    def duplicates(self):
        return self.around + self.stray

    def wrong(self):
        """What should be 0 and is not, in words."""
        return [
            "%s %d (%s ...)"
            % (what, self.counts[what], ", ".join(self.examples[what]))
            for what in self.WRONG
            if self.counts[what]
        ]

    def text(self):
        return (
            "accepted %(accepted)d, refused %(refused)d, unknown %(unknown)d; "
            "arrived %(arrived)d, lost %(lost)d, refused and arrived "
            "%(refused_in)d, out of order %(unordered)d; again: QoS 2 %(twice)d, "
            "QoS 1 around a reconnect %(around)d, elsewhere %(stray)d, sent again "
            "by their publisher %(resent)d" % self.counts
        )


def is_around(first, copy):
    if copy.connection == 0:
        return copy.position - first.position <= AGAIN
    return (
        copy.connection > first.connection
        and copy.position < AGAIN
        and "d" in copy.flags
    )


def judge(producers, arrivals):
    verdict = Verdict()
    by_name = {p.name: p for p in producers}
    firsts = {p.name: {} for p in producers}
    last = dict.fromkeys(firsts, -1)
    dead = set()
    for arrival in arrivals:
        producer = by_name.get(arrival.producer)
        if (
            producer is None
            or arrival.topic != producer.topic
            or arrival.number >= len(producer.outcomes)
        ):
            verdict.note("foreign", arrival.producer, arrival.number)
            continue
        if "r" in arrival.flags:
            dead.add((arrival.producer, arrival.number))
            continue
        seen = firsts[arrival.producer]
        if arrival.number not in seen:
            seen[arrival.number] = arrival
            if arrival.number < last[arrival.producer]:
                verdict.note("unordered", arrival.producer, arrival.number)
            last[arrival.producer] = max(last[arrival.producer], arrival.number)
            continue
        first = seen[arrival.number]
        if producer.qos == 2:
            kind = "twice"
        elif producer.outcomes[arrival.number].isupper():
            kind = "resent"
        elif is_around(first, arrival):
            kind = "around"
        else:
            kind = "stray"
        verdict.note(
            kind,
            arrival.producer,
            "%d, %d:%d and again %d:%d"
            % (
                arrival.number,
                first.connection,
                first.position,
                arrival.connection,
                arrival.position,
            ),
        )
    for producer in producers:
        count(verdict, producer, firsts[producer.name], dead)
    return verdict


def count(verdict, producer, seen, dead):
    verdict.counts["arrived"] += len(seen)
    for number, outcome in enumerate(producer.outcomes):
        outcome = outcome.lower()
        if outcome == "a":
            verdict.counts["accepted"] += 1
            if number not in seen and (producer.name, number) not in dead:
                verdict.note("lost", producer.name, number)
        elif outcome in "rn":
            verdict.counts["refused"] += 1
            if number in seen:
                verdict.note("refused_in", producer.name, number)
        elif outcome == "u":
            verdict.counts["unknown"] += 1
        else:
            verdict.note("errors", producer.name, number)


# ------------------------------------------------------- the neighbours


def percentiles(delays):
    delays = sorted(delays) or [0]
    return {
        "p50": delays[len(delays) // 2],
        "p99": delays[len(delays) * 99 // 100],
        "max": delays[-1],
    }


def paced(per_second, stop):
    """Yield 0, 1, 2... at a rate, in small bursts, until told to stop."""
    started = time.monotonic()
    sent = 0
    while not stop.is_set():
        due = int((time.monotonic() - started) * per_second)
        while sent < due and not stop.is_set():
            yield sent
            sent += 1
        time.sleep(0.002)


def mqtt_neighbour(port, per_second, stop, pipe):
    """MQTT messages of QoS 1, at a rate, to a topic that no bridge wants."""
    collector = weir.Collector(port, "other/#", qos=1)
    publisher = weir.Mqtt(port, "unrelated-publisher")
    acknowledged, broken = [0], []

    def read_acknowledgements():
        try:
            while True:
                kind, _, _ = publisher.read(timeout=3600)
                acknowledged[0] += kind == weir.PUBACK
        except Exception as error:  # the connection's end, whatever it is
            broken.append(error)

    threading.Thread(target=read_acknowledgements, daemon=True).start()
    pipe.send("ready")
    sent = 0
    for number in paced(per_second, stop):
        text = "%d %d" % (number, time.monotonic_ns())
        publisher.send(weir.publish_packet("other/x", text, 1, publisher.new_id()))
        sent += 1
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and not broken and (
        len(collector.messages) < sent or acknowledged[0] < sent
    ):
        time.sleep(0.02)
    numbers, delays = [], []
    for message in collector.messages:
        number, stamp = message.payload.split()
        numbers.append(int(number))
        delays.append(message.arrived * 1e3 - int(stamp) / 1e6)
    pipe.send(
        dict(
            percentiles(delays),
            sent=sent,
            acknowledged=acknowledged[0],
            in_order=numbers == list(range(sent)),
            received=len(numbers),
            dropped=bool(broken) or collector.broken is not None,
        )
    )


def http_neighbour(port, topic, per_second, stop, pipe):
    """HTTP publishes at a rate to a topic that has nothing to do with it."""
    name = topic.replace("/", "-")
    outcomes = collections.Counter()
    accepted, delays = [], []
    http = None
    pipe.send("ready")
    for number in paced(per_second, stop):
        body = '{"topic":"%s","payload":"%s %d x","qos":1}' % (topic, name, number)
        started = time.monotonic()
        try:
            http = http or weir.Http(port)
            status, headers, _ = http.request("POST", "/api/v4/mqtt/publish", body)
        except (OSError, EOFError):
            status, headers, http = 0, {}, None
            time.sleep(0.02)
        delays.append((time.monotonic() - started) * 1e3)
        outcomes[status] += 1
        if status == 200:
            accepted.append(number)
        if headers.get("connection", "").lower() == "close":
            http = None
    pipe.send(
        dict(
            percentiles(delays),
            outcomes=dict(outcomes),
            accepted=accepted,
            producer=name,
        )
    )


class Neighbours:
    """The processes that go on beside the flood.  Make it before any thread."""

    def __init__(self, suite, with_mqtt, bridged="plant/x", per_second=50):
        self.stop = fork.Event()
        self.pipes, self.processes = {}, []
        if with_mqtt:
            self.add("mqtt", mqtt_neighbour, suite.port, 1000)
        self.add("plain", http_neighbour, suite.http_port, "plain/x", per_second)
        self.add("plant", http_neighbour, suite.http_port, bridged, per_second)
        for name, pipe in self.pipes.items():
            weir.expect(pipe.poll(20) and pipe.recv() == "ready", name)

    def add(self, name, target, *arguments):
        self.pipes[name], other = fork.Pipe(False)
        process = fork.Process(
            target=target, args=(*arguments, self.stop, other), daemon=True
        )
        process.start()
        self.processes.append(process)

    def end(self):
        """What each has seen, by its name."""
        self.stop.set()
        seen = {}
        for name, pipe in self.pipes.items():
            weir.expect(pipe.poll(60), "the neighbour %s did not end" % name)
            seen[name] = pipe.recv()
        for process in self.processes:
            process.join(10)
        return seen


# ------------------------------------------------------- memory


def of_each_process(suite, measure):
    """What it says of each process of the suite, but for the supervisor."""
    found = {}
    for pid, words in weir.marked(suite.box.mark).items():
        name = os.path.basename(words[0])
        if name == "weir-bridged":
            name += " " + words[-1]
        if name.startswith("weir-"):
            found[name] = measure(pid)
    return found


def resident(suite):
    """KiB, with the pages of rings."""
    return of_each_process(suite, weir.resident_kib)


def own_kib(pid):
    """Resident, but for the pages of rings, which several processes share.

    What a ring has at its first capacity was taken for it from the start;
    that it has no more in the end is seen from its capacity.
    """
    kib = 0
    try:
        with open("/proc/%d/status" % pid) as f:
            for line in f:
                if line.startswith(("RssAnon:", "RssFile:")):
                    kib += int(line.split()[1])
    except OSError:
        pass
    return kib


def own(suite):
    return of_each_process(suite, own_kib)


class Memory(threading.Thread):
    """The greatest resident size seen of each program, and of all at once."""

    def __init__(self, suite):
        super().__init__(daemon=True)
        self.suite = suite
        self.most = collections.Counter()
        self.sum = 0
        self.stopping = False
        self.start()

    def run(self):
        while not self.stopping:
            now = resident(self.suite)
            for name, size in now.items():
                self.most[name] = max(self.most[name], size)
            self.sum = max(self.sum, sum(now.values()))
            time.sleep(0.2)

    def end(self):
        self.stopping = True
        self.join(5)
