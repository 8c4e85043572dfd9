#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""The flags of mosquitto_pub, mosquitto_sub and mosquitto_rr.

What they do with messages is in test_mosquitto_clients.py; here is what
scripts rely on: exit codes, -C, -W, -s, -n, -F, -D, --retained-only and so on.
"""

import os
import shutil
import subprocess

import weir

HOST = ("-h", "127.0.0.1")


class Tools:
    def __init__(self, suite):
        self.suite = suite
        self.here = HOST + ("-p", str(suite.port))

    def run(self, tool, *arguments, text=None, code=0):
        """The output of a tool that ends by itself."""
        done = subprocess.run(
            [tool, *self.here, *arguments],
            input=text,
            stdin=subprocess.DEVNULL if text is None else None,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=30,
        )
        weir.expect(
            done.returncode == code, "%d: %s" % (done.returncode, done.stdout)
        )
        return done.stdout

    def pub(self, *arguments, **more):
        return self.run("mosquitto_pub", *arguments, **more)

    def sub(self, *arguments, **more):
        return self.run("mosquitto_sub", *arguments, **more)

    def start(self, tool, *arguments):
        """A tool in the background; communicate() ends it."""
        env = dict(os.environ, LC_ALL="C.UTF-8")
        env[weir.MARK] = self.suite.box.mark
        return subprocess.Popen(
            [tool, *self.here, *arguments],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            start_new_session=True,
        )

    def subscribed(self, count):
        """Wait until so many subscriptions are there."""

        def there():
            text = self.suite.ctl("subscriptions")
            return len(text.splitlines()) - 1 >= count

        weir.wait_for("%d subscriptions" % count, there)


def outputs(child, wanted, code=0):
    text = child.communicate(timeout=30)[0]
    weir.expect(child.returncode == code, "%d: %s" % (child.returncode, text))
    weir.expect(text.splitlines() == wanted, text)


def publishing(tap, tools):
    with tap.case("-m, -f, -s, -n: where the payload comes from; -C ends a reader"):
        path = os.path.join(tools.suite.box.dir, "payload")
        with open(path, "w") as f:
            f.write("from a file")
        child = tools.start("mosquitto_sub", "-t", "src/#", "-C", "4", "-v", "-q", "1")
        tools.subscribed(1)
        tools.pub("-t", "src/m", "-q", "1", "-m", "one")
        tools.pub("-t", "src/f", "-q", "1", "-f", path)
        tools.pub("-t", "src/s", "-q", "1", "-s", text="all\nof it")
        tools.pub("-t", "src/n", "-q", "1", "-n")
        outputs(
            child,
            ["src/m one", "src/f from a file", "src/s all", "of it", "src/n (null)"],
        )
    with tap.case("-l: a message a line, empty lines too; --repeat"):
        child = tools.start("mosquitto_sub", "-t", "l", "-C", "5", "-q", "2")
        tools.subscribed(1)
        tools.pub("-t", "l", "-q", "2", "-l", text="a\n\nb\n")
        tools.pub("-t", "l", "-q", "1", "-m", "again", "--repeat", "2")
        # Without -v an empty message is counted, and not shown.
        outputs(child, ["a", "b", "again", "again"])
    with tap.case("-i, -I, -u, -P, -k, -c, -V: who connects, and how"):
        for version in ("mqttv31", "mqttv311", "mqttv5", "31", "311", "5"):
            who = ["-u", "admin", "-P", "public", "-k", "10", "-V", version]
            tools.pub("-t", "who", "-m", "x", "-i", "name-" + version, *who)
            tools.pub("-t", "who", "-m", "x", "-I", "prefix-", *who)
    with tap.case("a wrong password ends them with an error and its reason"):
        wrong = ["-u", "admin", "-P", "wrong", "-t", "a"]
        text = tools.pub("-m", "x", *wrong, code=4)
        weir.expect("bad user name or password" in text.lower(), text)
        # 0x86 Bad User Name or Password
        text = tools.sub("-V", "5", "-W", "5", *wrong, code=134)
        weir.expect("user name or password" in text.lower(), text)


def reading(tap, tools):
    with tap.case("-W ends a reader with 27, -E one that has subscribed"):
        tools.sub("-t", "nothing", "-W", "1", code=27)
        tools.sub("-t", "nothing", "-E")
    with tap.case("-F with %t %p %q %r %l %m, MQTT 5.0's %A %C %R %P, -D"):
        shape = "%t|%p|%q|%r|%l|%C|%R|%D|%P"
        child = tools.start(
            *("mosquitto_sub", "-V", "5", "-t", "f/#", "-q", "1", "-C", "2"),
            *("-F", shape, "-D", "SUBSCRIBE", "user-property", "who", "me")
        )
        tools.subscribed(1)
        more = []
        for words in (
            "content-type text/plain",
            "response-topic re/1",
            "correlation-data 42",
            "user-property key value",
            "payload-format-indicator 1",
            "message-expiry-interval 60",
        ):
            more += ["-D", "PUBLISH", *words.split(" ")]
        tools.pub("-V", "5", "-t", "f/1", "-m", "abc", "-q", "2", *more)
        tools.pub("-V", "311", "-t", "f/2", "-m", "d", "-q", "0")
        outputs(
            child,
            ["f/1|abc|1|0|3|text/plain|re/1|42|key:value", "f/2|d|0|0|1||||"],
        )
    with tap.case("-t again and again, -T leaves out, -U unsubscribes"):
        child = tools.start(
            *("mosquitto_sub", "-t", "a/#", "-t", "b/#", "-T", "a/not", "-v"),
            *("-U", "b/#", "-q", "1", "-C", "2")
        )
        tools.subscribed(1)
        # -U comes behind -t: what is published now is after both.
        weir.wait_for(
            "it has unsubscribed",
            lambda: "b/#" not in tools.suite.ctl("subscriptions"),
        )
        for topic in ("a/not", "b/1", "a/1", "a/2"):
            tools.pub("-t", topic, "-m", "x", "-q", "1")
        outputs(child, ["a/1 x", "a/2 x"])
    with tap.case("-R leaves retained ones out, --retained-only the others"):
        tools.pub("-t", "r/1", "-m", "kept", "-r", "-q", "1")
        child = tools.start("mosquitto_sub", "-t", "r/1", "-R", "-C", "1")
        tools.subscribed(1)
        tools.pub("-t", "r/1", "-m", "live", "-q", "1")
        outputs(child, ["live"])
        outputs(
            tools.start("mosquitto_sub", "-t", "r/#", "--retained-only", "-C", "1"),
            ["kept"],
        )
    with tap.case("--remove-retained takes them away"):
        tools.sub("-t", "r/#", "--remove-retained", "-W", "1", code=27)
        tools.sub("-t", "r/#", "-C", "1", "-W", "1", code=27)
    with tap.case("--will-*: sent for a reader that is killed"):
        child = tools.start("mosquitto_sub", "-t", "w/1", "-C", "1", "-F", "%p %q")
        doomed = tools.start(
            *("mosquitto_sub", "-t", "x", "--will-topic", "w/1"),
            *("--will-payload", "gone", "--will-qos", "1")
        )
        tools.subscribed(2)
        doomed.kill()
        doomed.communicate()
        outputs(child, ["gone 0"])
    with tap.case("$share: two readers have each message once"):
        readers = [
            tools.start("mosquitto_sub", "-t", "$share/g/s/#", "-C", "5", "-q", "1")
            for _ in range(2)
        ]
        tools.subscribed(2)
        tools.pub("-t", "s/1", "-q", "1", "-l", text="".join("%d\n" % n for n in range(10)))
        got = sum((r.communicate(timeout=30)[0].splitlines() for r in readers), [])
        weir.expect(sorted(got) == [str(n) for n in range(10)], got)


def asking(tap, tools):
    with tap.case("mosquitto_rr asks, and gets the answer to its question"):
        server = tools.start(
            *("mosquitto_sub", "-V", "5", "-t", "ask", "-C", "1", "-F", "%R %D %p")
        )
        tools.subscribed(1)
        asker = tools.start(
            *("mosquitto_rr", "-V", "5", "-t", "ask", "-e", "answer/1", "-m", "what"),
            *("-q", "1", "-W", "20", "-D", "PUBLISH", "correlation-data", "id7")
        )
        outputs(server, ["answer/1 id7 what"])
        tools.pub(
            *("-V", "5", "-t", "answer/1", "-m", "that", "-q", "1"),
            *("-D", "PUBLISH", "correlation-data", "id7")
        )
        outputs(asker, ["that"])


def main():
    tap = weir.Tap(120)
    if shutil.which("mosquitto_rr") is None:
        print("1..0 # SKIP mosquitto-clients is not installed")
        return
    durability = os.environ.get("WEIR_DURABILITY", "process")
    with tap.case("the suite ends in order"), weir.Weir(
        http=None, durability=durability
    ) as suite:
        tools = Tools(suite)
        for group in (publishing, reading, asking):
            group(tap, tools)
    tap.done()


if __name__ == "__main__":
    main()
