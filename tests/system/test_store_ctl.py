#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""weirctl store and weirctl doctor, without a broker and beside a running one."""

import json
import os
import shutil
import subprocess
import threading

import weir

FAILED, USAGE, UNAVAILABLE = 1, 64, 69
LINES = [
    {"kind": "journal", "version": 1},
    {"kind": "session", "cursor": 1, "client_id": "away", "account": "ann",
     "left_ns": 1795000000000000000},
    {"kind": "session", "cursor": 2, "client_id": "idle", "account": ""},
    {"kind": "subscription", "cursor": 1, "filter": "a/#", "qos": 1},
    {"kind": "bridge", "cursor": 3, "name": "cloud"},
    {"kind": "retained", "topic": "t", "qos": 1, "retain": True,
     "retain_serial": 4, "payload_base64": "AP8="},
    {"kind": "message", "topic": "a/1", "qos": 1, "created_ns": 1795000000000000000,
     "payload_base64": "b25l",
     "receivers": [{"cursor": 1, "qos": 1}, {"cursor": 3, "qos": 1}]},
    {"kind": "message", "topic": "a/2", "qos": 1, "created_ns": 1795001000000000000,
     "payload_base64": "dHdv", "receivers": [{"cursor": 1, "qos": 1}]},
]
LINES.append({"kind": "end", "lines": len(LINES) + 1})


def as_text(lines):
    return "".join(json.dumps(line) + "\n" for line in lines)


class Store:
    """Calls of `weirctl store` on one folder, or one configuration."""

    def __init__(self, *place):
        self.place = place

    def call(self, *words, text=None):
        """(exit status, stdout, stderr)"""
        done = subprocess.run(
            [weir.program("weirctl"), "store", *words, *self.place],
            input=text,
            stdin=subprocess.DEVNULL if text is None else None,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=60,
            encoding="utf-8",
        )
        return done.returncode, done.stdout, done.stderr

    def good(self, *words, text=None):
        status, out, said = self.call(*words, text=text)
        weir.expect(status == 0, "%s: exit %d: %s" % (words, status, said))
        return out

    def json(self, *words):
        return json.loads(self.good(*words, "--json"))

    def lines(self):
        return [json.loads(line) for line in self.good("export").splitlines()]

    def refuses(self, *words, code, word, text=None):
        status, _, said = self.call(*words, text=text)
        weir.expect(status == code, "%s: exit %d: %s" % (words, status, said))
        weir.expect(word in said, "%s: no %r in %r" % (words, word, said))


def of_kind(lines, kind):
    return [line for line in lines if line["kind"] == kind]


def by_name(listed):
    return {entry["name"]: entry for entry in listed}


def files_of(folder):
    """All of a folder's files: name to content."""
    found = {}
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), "rb") as f:
            found[name] = f.read()
    return found


# ------------------------------------------------------------- no broker


def words(tap, box):
    store = Store("-d", box.dir)
    with tap.case("a word that is none, or an operand too many, is refused with 64"):
        store.refuses("bogus", code=USAGE, word="bogus")
        store.refuses(code=USAGE, word="a word is missing")
        store.refuses("backup", code=USAGE, word="operand")
        store.refuses("stat", "x", code=USAGE, word='"x"')
        store.refuses("drop", "x", code=USAGE, word='"x"')
    with tap.case("where there is no journal, that is said, with 69"):
        nowhere = Store("-d", os.path.join(box.dir, "nowhere"))
        for word in ("stat", "check", "list", "export"):
            nowhere.refuses(word, code=UNAVAILABLE, word="no journal")
        weir.expect(not os.path.exists(nowhere.place[1]), "it was made")


def imports(tap, box):
    folder = os.path.join(box.dir, "journal")
    store = Store("-d", folder)
    with tap.case("a mistake in an import is told by its line, and nothing is kept"):
        bad = as_text(LINES[:3] + [{"kind": "bridge"}] + LINES[4:])
        store.refuses("import", code=FAILED, word="standard input:4: ", text=bad)
        store.refuses(
            "import", code=FAILED, word="not whole", text=as_text(LINES[:-1])
        )
        weir.expect(store.json("stat")["last_sequence"] == 0, "something is there")
    with tap.case("an import is what was exported"):
        told = store.json("import", *[write(box, "lines", as_text(LINES))])
        weir.expect(told["sessions"] == 2 and told["messages"] == 2, told)
        lines = store.lines()
        for kind in ("session", "subscription", "bridge", "message"):
            got = [
                {k: v for k, v in line.items() if k != "sequence"}
                for line in of_kind(lines, kind)
            ]
            weir.expect(got == of_kind(LINES, kind), (kind, got))
        weir.expect(
            any(r["payload_base64"] == "AP8=" for r in of_kind(lines, "retained")), lines
        )
    with tap.case("an import into a journal that has something is refused"):
        store.refuses("import", code=FAILED, word="not empty", text=as_text(LINES))
    return store, folder


def write(box, name, text):
    path = os.path.join(box.dir, name)
    with open(path, "w") as f:
        f.write(text)
    return path


def looks(tap, store):
    with tap.case("list says who waits for how much, since when"):
        listed = by_name(store.json("list"))
        weir.expect(set(listed) == {"away", "idle", "cloud"}, listed)
        away = listed["away"]
        weir.expect(away["queued"] == 2 and away["account"] == "ann", away)
        weir.expect(away["oldest_ns"] == 1795000000000000000, away)
        weir.expect(away["subscriptions"] == 1 and not away["online"], away)
        weir.expect(listed["cloud"]["kind"] == "bridge", listed)
        weir.expect(listed["cloud"]["queued"] == 1, listed)
        waiting = by_name(store.json("list", "--queued"))
        weir.expect(set(waiting) == {"away", "cloud"}, waiting)
        table = store.good("list")
        weir.expect("CURSOR" in table and "cut off" in table, table)
    with tap.case("stat adds it up"):
        stat = store.json("stat")
        weir.expect(stat["queued"] == 3 and stat["sessions"] == 2, stat)
        weir.expect(stat["bridges"] == 1 and stat["retained"] == 1, stat)
        weir.expect(stat["damages"] == [] and stat["broker"] is None, stat)
    with tap.case("check reads all of it"):
        checked = store.json("check")
        weir.expect(checked["ok"] and checked["messages"] == 2, checked)


def looking_changes_nothing(tap, store, folder):
    with tap.case("looking changes no byte"):
        before = files_of(folder)
        for word in ("stat", "check", "list", "export"):
            store.good(word)
        store.good("drop", str(by_name(store.json("list"))["cloud"]["cursor"]))
        weir.expect(files_of(folder) == before, "something changed")


def damage(tap, box, folder):
    copy = os.path.join(box.dir, "damaged")
    shutil.copytree(folder, copy)
    store = Store("-d", copy)
    name = sorted(n for n in os.listdir(copy) if n.endswith(".seg"))[0]
    path = os.path.join(copy, name)
    with open(path, "r+b") as f:
        at = f.read().index(b"one")
        f.seek(at)
        f.write(b"0ne")
    with tap.case("check finds a byte that was flipped, and exits 1"):
        before = files_of(copy)
        status, out, _ = store.call("check", "--json")
        checked = json.loads(out)
        weir.expect(status == FAILED and not checked["ok"], (status, checked))
        found = [d for d in checked["damages"] if not d["torn_tail"]]
        weir.expect(found and found[0]["file"] == name, checked)
        weir.expect(found[0]["offset"] <= at, checked)
        weir.expect(found[0]["last_sequence"] >= found[0]["first_sequence"], found)
        status, out, _ = store.call("check")
        weir.expect(status == FAILED and "DAMAGED" in out and name in out, out)
        weir.expect(files_of(copy) == before, "something changed")
    with tap.case("an export of a damaged journal has the rest, and exits 1"):
        status, out, said = store.call("export")
        weir.expect(status == FAILED and "damaged" in said, (status, said))
        weir.expect('"dHdv"' in out and '"b25l"' not in out, out)
    with tap.case("a backup of a damaged journal is made, and exits 1"):
        store.refuses(
            "backup", os.path.join(box.dir, "bad-copy"), code=FAILED, word="damaged"
        )


def keeps(tap, box, store):
    copy = os.path.join(box.dir, "copy")
    with tap.case("a backup is the same journal"):
        told = store.json("backup", copy)
        weir.expect(told["queued"] == 3 and told["sessions"] == 2, told)
        weir.expect(Store("-d", copy).lines() == store.lines(), "not the same")
        store.refuses("backup", copy, code=FAILED, word="not empty")
    with tap.case("compact keeps all of it"):
        before = store.lines()
        store.good("compact")
        weir.expect(store.lines() == before, "not the same")
        weir.expect(store.json("check")["ok"], "damaged")
    with tap.case("drop forgets what waits for a bridge, and nothing else"):
        listed = by_name(store.json("list"))
        store.refuses(
            "drop", str(listed["away"]["cursor"]), "--yes", code=FAILED, word="bridge"
        )
        out = store.good("drop", str(listed["cloud"]["cursor"]))
        weir.expect("Nothing was done" in out, out)
        weir.expect(by_name(store.json("list")) == listed, "it was done")
        store.good("drop", str(listed["cloud"]["cursor"]), "--yes")
        left = by_name(store.json("list"))
        weir.expect(set(left) == {"away", "idle"}, left)
        weir.expect(left["away"]["queued"] == 2, left)


def without_broker(tap):
    box = weir.Box()
    try:
        words(tap, box)
        store, folder = imports(tap, box)
        looks(tap, store)
        looking_changes_nothing(tap, store, folder)
        damage(tap, box, folder)
        keeps(tap, box, store)
    finally:
        box.end()


# ---------------------------------------------------------- beside a broker


def suite(**keys):
    keys.setdefault("journal", {"segment_size": "1MiB", "max_size": "64MiB"})
    keys.setdefault("max_packet_size", "64KiB")
    keys.setdefault("max_queued_messages", 1000000)
    keys.setdefault("max_queued_bytes", "1GiB")
    return weir.Weir(durability="disk", **{"http": None, **keys})


def leave_session(run, client_id):
    client = run.mqtt(client_id, clean=False)
    client.subscribe("a/#", 1)
    client.close()


class Publisher(threading.Thread):
    """Publishes until it is stopped; counts what was acknowledged."""

    def __init__(self, port):
        super().__init__()
        self.client = weir.Mqtt(port, "publisher")
        self.acknowledged = 0
        self.stopped = False
        self.error = None
        self.start()

    def run(self):
        try:
            while not self.stopped:
                number = self.acknowledged
                self.client.publish("a/n", b"%d" % number + b"." * 500, 1)
                self.acknowledged = number + 1
        except Exception as error:
            self.error = error

    def stop(self):
        self.stopped = True
        self.join()
        self.client.close()
        if self.error is not None:
            raise self.error
        return self.acknowledged


def payload_numbers(run, client_id):
    """The numbers that an offline session gets, up to the first silence."""
    client = run.mqtt(client_id, clean=False)
    weir.expect(client.session_present, "the session is not there")
    numbers = []
    while True:
        try:
            message = client.receive(2)
        except AssertionError:
            break
        numbers.append(int(message.payload.split(b".")[0]))
    client.close()
    return numbers


def running(tap, run):
    store = Store("-c", run.config)
    with tap.case("list knows who is online, and what waits for those who are not"):
        leave_session(run, "away")
        online = run.mqtt("here", clean=False)
        online.subscribe("b", 1)
        sender = run.mqtt("sender")
        for number in range(10):
            sender.publish("a/%d" % number, b"x" * 100, 1)
        listed = by_name(store.json("list"))
        weir.expect(listed["here"]["online"], listed)
        weir.expect(not listed["away"]["online"], listed)
        weir.expect(listed["away"]["queued"] == 10, listed)
        weir.expect(listed["away"]["queued_bytes"] >= 1000, listed)
        sender.close()
        online.close()
    with tap.case("stat has the broker's commits and syncs"):
        broker = store.json("stat")["broker"]
        weir.expect(broker["commits"] >= 10 and broker["syncs"] >= 10, broker)
        weir.expect(broker["sync_ns_max"] > 0 and broker["failed"] == 0, broker)
        weir.expect("syncs" in store.good("stat"), "no syncs in the text")
    with tap.case("what changes something is refused while a broker runs"):
        cursor = str(by_name(store.json("list"))["away"]["cursor"])
        for words_ in (("import",), ("drop", cursor, "--yes")):
            store.refuses(
                *words_, code=UNAVAILABLE, word="a broker has it", text=as_text(LINES)
            )
    with tap.case("compact asks the broker for a checkpoint"):
        before = store.json("stat")["checkpoint_sequence"]
        weir.expect(store.json("compact")["asked"], "not asked")
        weir.wait_for(
            "a checkpoint",
            lambda: store.json("stat")["checkpoint_sequence"] > before,
        )


def backups(tap, run, copy):
    """Returns what a backup must have, at least."""
    store = Store("-c", run.config)
    with tap.case("a backup beside a publisher has all that was acknowledged before"):
        leave_session(run, "reader")
        publisher = Publisher(run.port)
        weir.wait_for("2,000 messages", lambda: publisher.acknowledged >= 2000)
        known = publisher.acknowledged
        told = store.json("backup", copy)
        later = publisher.stop()
        tap.note("%d acknowledged, then %d; %r" % (known, later, told))
        checked = Store("-d", copy).json("check")
        weir.expect(checked["ok"], checked)
        listed = by_name(Store("-d", copy).json("list"))
        weir.expect(listed["reader"]["queued"] >= known, listed)
    return known


def restores(tap, run, copy, known):
    journal = os.path.join(run.settings["state_dir"], "journal")
    with tap.case("a broker that starts on a backup delivers what is in it"):
        weir.expect(run.shut_down() == 0, "exit")
        shutil.rmtree(journal)
        shutil.copytree(copy, journal)
        run.start()
        run.wait_ready()
        numbers = payload_numbers(run, "reader")
        weir.expect(numbers == list(range(len(numbers))), "not in order")
        weir.expect(len(numbers) >= known, "%d of %d" % (len(numbers), known))


def moves(tap, run):
    with tap.case("an export beside a broker moves to another one"):
        retained = run.mqtt("retainer")
        retained.publish("kept", b"value", 1, retain=True)
        for number in range(50):
            retained.publish("a/n", b"%d.moved" % number, 1)
        retained.close()
        text = Store("-c", run.config).good("export")
        state = os.path.join(run.box.dir, "other")
        os.mkdir(state, 0o700)
        other = Store("-d", os.path.join(state, "journal"))
        other.good("import", text=text)
        with suite(state_dir=state) as second:
            numbers = payload_numbers(second, "reader")
            weir.expect(numbers[-50:] == list(range(50)), numbers[-60:])
            reader = second.mqtt("new")
            reader.subscribe("kept", 1)
            message = reader.receive()
            weir.expect(message.payload == b"value" and message.retain, message)
            reader.close()


def doctor(tap, run):
    with tap.case("doctor measures the disk, and finds the journal well"):
        # The machine's limits and memory are its own: it may be told off.
        told = json.loads(run.ctl("doctor", "--json", check=False))
        found = by_name(told["findings"])
        failed = [name for name in found if found[name]["level"] == "fail"]
        weir.expect(told["ok"] == (not failed) and told["syncs"] > 0, told)
        weir.expect(told["sync_p50_ns"] <= told["sync_p99_ns"], told)
        weir.expect("one publisher" in found["disk"]["text"], found)
        weir.expect(found["broker"]["level"] == "ok", found)
        weir.expect(found["space"]["level"] != "fail", found)
    with tap.case("doctor exits 1, and says what to do, when something fails"):
        path = write(
            run.box,
            "bad.conf",
            'run_dir = "%s/no-run"; state_dir = "%s/no-state";\n'
            'durability = "disk";\n' % (run.box.dir, run.box.dir),
        )
        done = subprocess.run(
            [weir.program("weirctl"), "doctor", "-c", path],
            stdout=subprocess.PIPE,
            timeout=30,
            encoding="utf-8",
        )
        weir.expect(done.returncode == FAILED, done)
        weir.expect("fail  state_dir" in done.stdout, done.stdout)
        weir.expect("install -d" in done.stdout, done.stdout)
        left = os.listdir(run.settings["state_dir"])
        weir.expect(not [n for n in left if "doctor" in n], left)


def main():
    tap = weir.Tap()
    without_broker(tap)
    with suite() as run:
        copy = os.path.join(run.box.dir, "copy")
        running(tap, run)
        known = backups(tap, run, copy)
        restores(tap, run, copy, known)
        moves(tap, run)
        doctor(tap, run)
    tap.done()


if __name__ == "__main__":
    main()
