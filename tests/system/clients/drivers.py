# SPDX-License-Identifier: Apache-2.0

"""drivers - clients that others wrote, all moved by the same words.

A driver is a small program around a library.  It reads lines of words with
tabs between them:

	connect ID LEVEL CLEAN KEEPALIVE [WILL-TOPIC PAYLOAD QOS RETAIN]
	subscribe FILTER QOS		unsubscribe FILTER
	publish TOPIC PAYLOAD QOS RETAIN [RESPONSE-TOPIC NAME VALUE]
	burst TOPIC COUNT QOS		COUNT messages "0", "1" ...
	disconnect

LEVEL is 3, 4 or 5; with 5 and CLEAN 0 the session is kept for an hour.  It
writes what happens:

	library NAME-AND-VERSION
	connected CODE SESSION-PRESENT	also when it has come back by itself
	subscribed QOS			unsubscribed
	published CODE			burst	all are acknowledged
	message TOPIC PAYLOAD QOS RETAIN RESPONSE-TOPIC NAME VALUE
	lost / disconnected / error WHAT

A driver's command line ends with a port, and for a WebSocket its path; for a
Unix socket (libmosquitto) with 0 and the socket's path.

KINDS are the libraries; build() makes a driver's command line, or raises
weir.Skip when the library is not installed here.
"""

import os
import shutil
import subprocess
import sys
import threading
import time

import weir

HERE = os.path.dirname(os.path.abspath(__file__))
KINDS = ("libmosquitto", "paho-c", "paho-python", "mqttjs")


def _compile(name, library, header, folder):
    compiler = shutil.which(os.environ.get("CC", "cc").split()[-1])
    program = os.path.join(folder, name)
    if compiler is None:
        raise weir.Skip("no C compiler")
    if os.path.exists(program):
        return [program]
    done = subprocess.run(
        [compiler, "-O1", os.path.join(HERE, name + ".c"), "-o", program, library],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    if header in done.stdout or library in done.stdout:
        raise weir.Skip(header + " is not installed")
    weir.expect(done.returncode == 0, done.stdout)
    return [program]


def build(kind, folder):
    """The command line of a driver, but for its port."""
    if kind == "libmosquitto":
        return _compile("driver_mosquitto", "-lmosquitto", "mosquitto.h", folder)
    if kind == "paho-c":
        return _compile("driver_paho", "-lpaho-mqtt3a", "MQTTAsync.h", folder)
    if kind == "paho-python":
        tried = [sys.executable, "-c", "import paho.mqtt.client"]
        command = [sys.executable, os.path.join(HERE, "driver_paho.py")]
        missing = "python3-paho-mqtt is not installed"
    else:
        module = os.environ.get("MQTTJS", "mqtt")
        tried = [shutil.which("node") or "false", "-e", "require('%s')" % module]
        command = [tried[0], os.path.join(HERE, "driver_mqttjs.js")]
        missing = "no MQTT.js: npm install mqtt, and NODE_PATH says where"
    quiet = dict(stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if subprocess.run(tried, stdout=subprocess.DEVNULL, **quiet).returncode != 0:
        raise weir.Skip(missing)
    return command


class Driver:
    """One client in a process of its own.

    words(event) are those of its next event of that kind, waited for; messages
    are kept apart, in `messages`, as lists of words.
    """

    def __init__(self, suite, command, *where):
        env = dict(os.environ, LC_ALL="C.UTF-8")
        env[weir.MARK] = suite.box.mark
        self.child = subprocess.Popen(
            command + [str(part) for part in where or (suite.port,)],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            start_new_session=True,
        )
        self.events = []
        self.messages = []
        self.changed = threading.Condition()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        for line in self.child.stdout:
            words = line.rstrip("\n").split("\t")
            with self.changed:
                kept = self.messages if words[0] == "message" else self.events
                kept.append(words[1:] if words[0] == "message" else words)
                self.changed.notify_all()
        with self.changed:
            self.events.append(["end"])
            self.changed.notify_all()

    def say(self, *words):
        self.child.stdin.write("\t".join(str(word) for word in words) + "\n")
        self.child.stdin.flush()

    def _wait(self, what, ready):
        deadline = time.monotonic() + 2 * weir.DEADLINE
        with self.changed:
            while True:
                found = ready()
                if found is not None:
                    return found
                for event in self.events:
                    if event[0] in ("error", "end"):
                        raise AssertionError("%s: %r came" % (what, event))
                left = deadline - time.monotonic()
                weir.expect(left > 0, "%s: did not come; %r" % (what, self.events))
                self.changed.wait(left)

    def words(self, event):
        """What follows the event's name; it is taken from the list."""

        def ready():
            for number, words in enumerate(self.events):
                if words[0] == event:
                    return self.events.pop(number)[1:]
            return None

        return self._wait(event, ready)

    def take(self, count):
        """The next so many messages, taken."""

        def ready():
            if len(self.messages) < count:
                return None
            taken, self.messages[:] = self.messages[:count], self.messages[count:]
            return taken

        return self._wait("%d messages" % count, ready)

    def connect(self, name, level, clean=True, will=()):
        """CONNACK's Session Present."""
        self.say("connect", name, level, int(clean), 30, *will)
        code, present = self.words("connected")
        weir.expect(code == "0", "refused by %s" % code)
        return present == "1"

    def subscribe(self, topic_filter, qos):
        self.say("subscribe", topic_filter, qos)
        granted = self.words("subscribed")
        weir.expect(granted == [str(qos)], granted)

    def unsubscribe(self, topic_filter):
        self.say("unsubscribe", topic_filter)
        self.words("unsubscribed")

    def publish(self, topic, payload, qos=1, retain=False, *more):
        self.say("publish", topic, payload, qos, int(retain), *more)
        # 16: No matching subscribers, which MQTT 5.0 tells.
        code = self.words("published")[0]
        weir.expect(code in ("0", "16"), "refused by " + code)

    def disconnect(self):
        self.say("disconnect")
        self.words("disconnected")
        self.end()

    def kill(self):
        self.child.kill()
        self.child.wait()
        self.end()

    def end(self):
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()
        if not self.child.stdin.closed:
            self.child.stdin.close()
        with self.changed:
            self.events[:] = [e for e in self.events if e[0] != "end"]
