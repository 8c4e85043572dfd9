#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""weirctl pub and sub: their flags, what they wait for, how they end."""

import os
import signal
import socket
import subprocess
import threading

import weir

VERSIONS = ("mqttv31", "mqttv311", "mqttv5")


class Verb:
    """A weirctl pub or sub in the background, with what it prints."""

    def __init__(self, suite, verb, *arguments, port=None, stdin=None):
        base = os.path.join(suite.box.dir, "verb-%x" % id(self))
        self.out_path, self.err_path = base + ".out", base + ".err"
        argv = [weir.program("weirctl"), verb, "-p", str(port or suite.port)]
        with open(self.out_path, "wb") as out, open(self.err_path, "wb") as err:
            self.child = subprocess.Popen(
                argv + list(arguments),
                stdin=subprocess.DEVNULL if stdin is None else stdin,
                stdout=out,
                stderr=err,
            )
        if verb == "sub" and "-d" in arguments:
            weir.wait_for("it has subscribed", lambda: "Subscribed" in self.err())

    def out(self):
        with open(self.out_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def err(self):
        with open(self.err_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def ends(self, code, out=None):
        try:
            got = self.child.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.child.kill()
            raise
        weir.expect(got == code, "exit code %d: %s" % (got, self.err()))
        if out is not None:
            weir.expect(self.out() == out, repr(self.out()[:300]))


def pub(suite, *arguments, code=0, text=None, port=None):
    done = subprocess.run(
        [weir.program("weirctl"), "pub", "-p", str(port or suite.port), *arguments],
        input=text,
        stdin=subprocess.DEVNULL if text is None else None,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        timeout=30,
    )
    weir.expect(done.returncode == code, "%d: %s" % (done.returncode, done.stderr))
    return done.stderr


def streams(tap, suite):
    # Fewer than max_queued_messages: a slow subscriber loses none.
    for version in VERSIONS:
        for qos in "012":
            with tap.case("%s: 900 lines of QoS %s arrive in order" % (version, qos)):
                both = ("-V", version, "-q", qos, "-t", "lines/" + version + qos)
                sub = Verb(suite, "sub", "-d", "-C", "900", *both)
                text = "".join("line %d\n" % i for i in range(900))
                pub(suite, "-l", *both, text=text)
                sub.ends(0, text)


def sources(tap, suite):
    with tap.case("-m, -f, -s, -n, --repeat and -l without a last newline"):
        path = os.path.join(suite.box.dir, "payload")
        with open(path, "w", encoding="ascii") as f:
            f.write("of a file")
        sub = Verb(suite, "sub", "-d", "-q", "1", "-v", "-t", "s/#", "-C", "8")
        pub(suite, "-q", "1", "-t", "s/m", "-m", "text")
        pub(suite, "-q", "1", "-t", "s/f", "-f", path)
        pub(suite, "-q", "1", "-t", "s/s", "-s", text="a\nb")
        pub(suite, "-q", "1", "-t", "s/n", "-n")
        pub(suite, "-q", "1", "-t", "s/r", "-m", "2", "--repeat", "2")
        pub(suite, "-q", "1", "-t", "s/l", "-l", text="1\n2")
        sub.ends(
            0,
            "s/m text\ns/f of a file\ns/s a\nb\ns/n (null)\n"
            "s/r 2\ns/r 2\ns/l 1\ns/l 2\n",
        )
    with tap.case("a line goes out when it is typed, not at the end"):
        sub = Verb(suite, "sub", "-d", "-t", "typed")
        reader, writer = os.pipe()
        typist = Verb(suite, "pub", "-l", "-q", "1", "-t", "typed", stdin=reader)
        os.close(reader)
        os.write(writer, b"first\n")
        weir.wait_for("the first line", lambda: sub.out() == "first\n")
        os.write(writer, b"second\n")
        weir.wait_for("the second line", lambda: sub.out() == "first\nsecond\n")
        os.close(writer)
        typist.ends(0)
        sub.child.send_signal(signal.SIGINT)
        sub.ends(0)


def properties(tap, suite):
    with tap.case("properties go along, in words or quoted"):
        sub = Verb(
            suite, "sub", "-d", "-V", "5", "-t", "p", "-C", "1", "-N",
            "-F", "%C %R %P %l %x\\n",
        )
        pub(
            suite, "-V", "5", "-t", "p", "-m", "hi",
            "-D", "publish", "content-type", "text/plain",
            "-D", "publish response-topic re",
            "-D", "publish", "user-property", "unit", "deg C",
        )
        sub.ends(0, "text/plain re unit:deg C 2 6869\n")
    with tap.case("a property that the version does not have is refused"):
        why = pub(
            suite, "-t", "p", "-n", "-D", "publish content-type a", code=64
        )
        weir.expect("-V mqttv5" in why, why)


def choices(tap, suite):
    pub(suite, "-t", "kept", "-m", "old", "-r", "-q", "1")
    with tap.case("-W ends with 27, -R leaves retained messages out"):
        Verb(suite, "sub", "-t", "kept", "-R", "-W", "0.5").ends(27, "")
        Verb(suite, "sub", "-t", "kept", "-W", "0.5").ends(27, "old\n")
    with tap.case("--retained-only ends at the first new message"):
        sub = Verb(suite, "sub", "-d", "-t", "kept", "--retained-only")
        pub(suite, "-t", "kept", "-m", "new")
        sub.ends(0, "old\n")
    with tap.case("--no-clean keeps the session, -E ends once subscribed"):
        for version in ("mqttv311", "mqttv5"):
            mine = ("-V", version, "-i", "keeper-" + version, "--no-clean")
            mine += ("-q", "1", "-t", "stored")
            Verb(suite, "sub", "-E", *mine).ends(0, "")
            pub(suite, "-q", "1", "-t", "stored", "-m", "waited")
            Verb(suite, "sub", "-C", "1", "-W", "10", *mine).ends(0, "waited\n")
    with tap.case("a will is published when sub is killed, not at Ctrl-C"):
        watch = Verb(suite, "sub", "-d", "-t", "will/#", "-v", "-C", "1")
        for how, name in ((signal.SIGINT, "polite"), (signal.SIGKILL, "killed")):
            will = ("--will-topic", "will/" + name, "--will-payload", "gone")
            one = Verb(suite, "sub", "-d", "-t", "none", *will)
            one.child.send_signal(how)
            one.child.wait(timeout=10)
        watch.ends(0, "will/killed gone\n")


def from_a_configuration(tap, suite):
    """-c without -p: the first listener that it can speak to."""
    path = os.path.join(suite.box.dir, "client.conf")
    elsewhere = [
        {"bind": "127.0.0.1:1", "tls": {"psk_file": "/nowhere"}},
        {"bind": "127.0.0.1:2", "proxy_protocol": True},
        {"bind": "127.0.0.1:3", "websocket": "/mqtt"},
        {"bind": "unix:/nowhere"},
    ]

    def publish(listeners, code):
        with open(path, "w") as f:
            f.write(weir.libconfig({"listeners": listeners}))
        done = subprocess.run(
            [weir.program("weirctl"), "pub", "-c", path, "-t", "c/d", "-m", "conf"],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            timeout=30,
        )
        weir.expect(done.returncode == code, "%d: %s" % (done.returncode, done.stderr))
        return done.stderr

    with tap.case("-c: listeners of TLS, WebSocket, proxies and files are passed over"):
        sub = Verb(suite, "sub", "-d", "-C", "1", "-t", "c/d")
        publish(elsewhere + [{"bind": "127.0.0.1:%d" % suite.port}], 0)
        sub.ends(0, "conf\n")
    with tap.case("-c: without a listener of plain MQTT, -h and -p are asked for"):
        weir.expect("say -h and -p" in publish(elsewhere, 78), "not said")


def refusals(tap, suite):
    with tap.case("nobody there is 69, and says where"):
        port = weir.free_port()
        why = pub(suite, "-t", "a", "-n", code=69, port=port)
        weir.expect(str(port) in why and "refused" in why, why)
    with tap.case("a wrong password is 1, with the reason's name"):
        wrong = ("-t", "a", "-n", "-u", "admin", "-P", "wrong")
        for version in VERSIONS:
            why = pub(suite, "-V", version, *wrong, code=1)
            weir.expect("-P" in why, why)
    with tap.case("a command line that cannot work is 64"):
        for words in (
            ("-t", "a"), ("-t", "a/#", "-n"), ("-n",), ("-t", "a", "-n", "-m", "b"),
            ("-t", "a", "-n", "-q", "3"), ("-t", "a", "-n", "--will-retain"),
            ("-t", "a", "-n", "left", "over"), ("-t", "a", "-l", "--repeat", "2"),
        ):
            pub(suite, *words, code=64)
    with tap.case("a broker that does not speak MQTT does no harm"):
        with socket.create_server(("127.0.0.1", 0)) as server:

            def answer():
                with server.accept()[0] as peer:
                    peer.recv(1000)
                    peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    peer.recv(1000)

            thread = threading.Thread(target=answer)
            thread.start()
            why = pub(
                suite, "-t", "a", "-n", code=1, port=server.getsockname()[1]
            )
            thread.join()
            weir.expect("wrong" in why, why)


def main():
    tap = weir.Tap()
    with tap.case("the suite ends in order"), weir.Weir() as suite:
        groups = (streams, sources, properties, choices, from_a_configuration, refusals)
        for group in groups:
            group(tap, suite)
    tap.done()


if __name__ == "__main__":
    main()
