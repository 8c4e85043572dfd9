#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""A wrong configuration is told by file and line, and starts nothing."""

import os
import socket
import subprocess

import weir

# The text, the line of the mistake (None: in no line), a word of the message.
GOOD = """run_dir = "{dir}/run";
state_dir = "{dir}/state";
listeners = ( {{ bind = "127.0.0.1:{mqtt}"; }} );
http = {{ bind = "127.0.0.1:{http}"; }};
accounts = ( {{ name = "a"; password = "b"; }} );
"""
BRIDGE = """bridges = (
  {{ name = "{0}"; url = "mqtt://127.0.0.1:1"; forward = ( {{ filter = "{1}"; }} ); }},
  {{ name = "{2}"; url = "{3}"; {4} }}
);
"""
URL = "mqtt://127.0.0.1:1"
CASES = [
    ("an unknown key", "no_such_key = 1;\n", 6, "no_such_key"),
    ("an unknown key in a group", 'http2 = {\n  bind = "x";\n};\n', 6, "http2"),
    ("a wrong type", "workers = \"two\";\n", 6, "workers"),
    ("a number out of range", "workers = 65;\n", 6, "64"),
    ("a negative number", "\nworkers = -1;\n", 7, "workers"),
    ("a word that is not allowed", 'log_level = "loud";\n', 6, "loud"),
    ("a size that is none", 'max_packet_size = "12 apples";\n', 6, "apples"),
    ("a duration without its unit", 'connect_timeout = "10";\n', 6, "connect_timeout"),
    ("a durability that there is not", 'durability = "paper";\n', 6, "paper"),
    (
        "a journal of less than four segments",
        'durability = "disk";\njournal = {{ max_size = "32MiB"; }};\n',
        7,
        "four segments",
    ),
    ("broken syntax", "workers = ;\n", 6, None),
    ("an unclosed group", "bridges = (\n{ name = ", None, None),
    ("two bridges of one name", BRIDGE.format("a", "x/#", "a", URL, ""), 8, "a"),
    ("a bridge without a url", 'bridges = ( { name = "a"; } );\n', 6, "url"),
    (
        "a url of another protocol",
        BRIDGE.format("a", "x/#", "b", "http://x", ""),
        8,
        "mqtt://",
    ),
    ("a bad topic filter", BRIDGE.format("a", "x/#/y", "b", URL, ""), 7, "x/#/y"),
    (
        "a backlog that needs the journal",
        BRIDGE.format("a", "x", "b", URL, 'backlog = "1MiB";')
        + 'durability = "none";\n',
        8,
        "journal",
    ),
    (
        "an unknown overflow policy",
        BRIDGE.format("a", "x", "b", URL, 'overflow = "explode";'),
        8,
        "explode",
    ),
    (
        "a ring that is no power of two",
        BRIDGE.format("a", "x", "b", URL, 'ring = {{ capacity = "100000"; }};'),
        8,
        "power of two",
    ),
    ("an include that is not there", '@include "nowhere.conf"\n', 6, "include"),
]


def run(box, *argv):
    """(exit status, what it said) of a program that should end by itself."""
    log_path = os.path.join(box.dir, "said")
    with open(log_path, "wb") as log:
        child = box.spawn(argv, log)
    try:
        status = child.wait(timeout=15)
    except subprocess.TimeoutExpired:
        raise AssertionError("%s did not end: %s" % (argv[0], weir.tail(log_path)))
    return status, weir.tail(log_path)


def refuses(box, path, line, word, want=78):
    """weirctl run and both daemons with -t refuse the file."""
    for argv in (
        (weir.program("weirctl"), "run", "-c", path),
        (weir.program("weir-broker"), "-t", "-c", path),
        (weir.program("weir-httpd"), "-t", "-c", path),
        (weir.program("weir-broker"), "-c", path),
    ):
        status, said = run(box, *argv)
        who = os.path.basename(argv[0])
        weir.expect(status == want, "%s: exit %d: %s" % (who, status, said))
        if line is not None:
            place = "%s:%d: " % (path, line)
            weir.expect(place in said, "%s: no %r in %r" % (who, place, said))
        if word is not None:
            weir.expect(word in said, "%s: no %r in %r" % (who, word, said))
    left = weir.marked(box.mark)
    weir.expect(not left, "left running: %r" % left)


def write(box, name, text):
    path = os.path.join(box.dir, name)
    with open(path, "w") as f:
        f.write(text)
    return path


def good_text(box, **ports):
    numbers = dict(mqtt=weir.free_port(), http=weir.free_port())
    numbers.update(ports)
    return GOOD.format(dir=box.dir, **numbers)


def taken_port(tap, box, which):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        path = write(box, "taken.conf", good_text(box, **{which: port}))
        address = "127.0.0.1:%d" % port
        with tap.case("the %s port in use is 71, with the address" % which):
            status, said = run(box, weir.program("weirctl"), "run", "-c", path)
            weir.expect(status == 71, "exit %d: %s" % (status, said))
            weir.expect(address in said, said)
            weir.expect(not weir.marked(box.mark), "left running")
        with tap.case("the %s port in use: the holder is named" % which):
            weir.expect(str(os.getpid()) in said, said)


def taken_run_dir(tap, box):
    with tap.case("a run_dir in use is refused, its broker named and left alone"):
        with weir.Weir() as suite:
            run_dir = suite.settings["run_dir"]
            text = good_text(box).replace(os.path.join(box.dir, "run"), run_dir)
            path = write(box, "second.conf", text)
            status, said = run(box, weir.program("weir-broker"), "-c", path)
            weir.expect(status == 71, "exit %d: %s" % (status, said))
            weir.expect("event=run_dir_in_use" in said, said)
            weir.expect("pid=%d " % suite.pid("weir-broker") in said, said)
            weir.expect(
                os.path.exists(os.path.join(run_dir, "broker.sock")), "it is gone"
            )
            suite.ctl("clients")


def main():
    tap = weir.Tap()
    box = weir.Box()
    os.makedirs(os.path.join(box.dir, "run"))
    with tap.case("the good configuration passes -t"):
        path = write(box, "good.conf", good_text(box))
        for program in ("weir-broker", "weir-httpd"):
            status, said = run(box, weir.program(program), "-t", "-c", path)
            weir.expect(status == 0, "%s: exit %d: %s" % (program, status, said))
    for name, text, line, word in CASES:
        with tap.case(name + " is refused with 78"):
            text = text.replace("{{", "{").replace("}}", "}")
            path = write(box, "bad.conf", good_text(box) + text)
            refuses(box, path, line, word)
    with tap.case("a mistake in an included file is told by that file's line"):
        inner = write(box, "inner.conf", "\n\nworkers = 1000;\n")
        path = write(box, "outer.conf", good_text(box) + '@include "inner.conf"\n')
        status, said = run(box, weir.program("weir-broker"), "-t", "-c", path)
        weir.expect(status == 78, "exit %d" % status)
        weir.expect("inner.conf:3: " in said, "%r: %s" % (inner, said))
    with tap.case("several mistakes are all reported"):
        path = write(box, "two.conf", good_text(box) + "workers = 65;\nnope = 1;\n")
        status, said = run(box, weir.program("weir-broker"), "-t", "-c", path)
        weir.expect(status == 78 and ":6: " in said and ":7: " in said, said)
    with tap.case("a missing file is refused with 78 and named"):
        refuses(box, os.path.join(box.dir, "missing.conf"), None, "missing.conf")
    with tap.case("weir-bridged refuses a bridge that is not configured"):
        path = write(box, "good.conf", good_text(box))
        status, said = run(box, weir.program("weir-bridged"), "-c", path, "nobody")
        weir.expect(status in (64, 78), "exit %d" % status)
        weir.expect("nobody" in said, said)
    with tap.case("an unknown option is refused with 64"):
        for name in weir.PROGRAMS:
            status, said = run(box, weir.program(name), "--no-such-option")
            weir.expect(status == 64, "%s: exit %d" % (name, status))
            weir.expect("no-such-option" in said, said)
    for which in ("mqtt", "http"):
        taken_port(tap, box, which)
    taken_run_dir(tap, box)
    box.end()
    tap.done()


if __name__ == "__main__":
    main()
