# SPDX-License-Identifier: Apache-2.0

"""weir - run real Weir processes for a system test.

A test file makes a Tap, and in each `with tap.case("sentence"):` starts what
it needs: a Weir (`weirctl run` on a configuration written for it), a
Mosquitto as the remote, Mqtt connections of raw bytes.  All of it lives in a
private directory on free ports, carries a mark in its environment, and is
ended and searched for leftovers when the case ends.  Nothing waits for a
fixed time and hopes: wait_for() polls a condition up to a deadline.
"""

import base64
import contextlib
import errno
import json
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback

SOURCE = os.environ.get(
    "WEIR_SOURCE",
    os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))),
)
BUILD = os.path.abspath(os.environ.get("WEIR_BUILD", "."))
DEADLINE = float(os.environ.get("WEIR_DEADLINE", "20"))
MARK = "WEIR_TEST"

PROGRAMS = {
    "weir-broker": "broker/weir-broker",
    "weir-httpd": "httpd/weir-httpd",
    "weir-bridged": "bridged/weir-bridged",
    "weirctl": "ctl/weirctl",
}


def program(name):
    """The path of a program in the build tree."""
    return os.path.join(BUILD, PROGRAMS[name])


def wait_for(what, condition, seconds=None, pause=0.02):
    """Poll until condition() is true; return its value, or fail by name."""
    deadline = time.monotonic() + (DEADLINE if seconds is None else seconds)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError("waited in vain: " + what)
        time.sleep(pause)


_given = set()


def free_port():
    """A port below the ephemeral ones, so no outgoing connection takes it."""
    dice = random.SystemRandom()
    while True:
        port = dice.randrange(12000, 32000)
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port


def libconfig(value, depth=0):
    """A Python value as libconfig text; the outermost dict is the file."""
    pad = "\t" * depth
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, (list, tuple)):
        return "( " + ", ".join(libconfig(v, depth + 1) for v in value) + " )"
    lines = [
        "%s%s = %s;\n" % (pad, key, libconfig(item, depth + 1))
        for key, item in value.items()
    ]
    if depth == 0:
        return "".join(lines)
    return "{\n" + "".join(lines) + pad[:-1] + "}"


# ------------------------------------------------------------------ TAP


class Skip(Exception):
    """Raised in a case that cannot be tried here; the reason is shown."""


class Tap:
    """Count and print results; end with tap.done()."""

    def __init__(self, limit=300):
        self.count = 0
        self.failed = 0
        signal.signal(signal.SIGALRM, self._too_long)
        signal.signal(signal.SIGTERM, self._ended)
        signal.alarm(limit)

    def _too_long(self, *_):
        raise AssertionError("the test file ran into its time limit")

    def _ended(self, *_):
        raise SystemExit("ended from outside")

    def note(self, text):
        for line in str(text).splitlines():
            print("# " + line, flush=True)

    def ok(self, good, name, why=None):
        self.count += 1
        if not good:
            self.failed += 1
        print("%s %d - %s" % ("ok" if good else "not ok", self.count, name))
        if not good and why is not None:
            self.note(why)
        sys.stdout.flush()
        return good

    def equal(self, got, want, name):
        return self.ok(got == want, name, "got %.300r, want %.300r" % (got, want))

    @contextlib.contextmanager
    def case(self, name):
        """One test: passes unless the body raises."""
        try:
            yield
        except Skip as reason:
            self.count += 1
            print("ok %d - %s # SKIP %s" % (self.count, name, reason), flush=True)
        except Exception:  # whatever it was, it is this test's failure
            self.ok(False, name, traceback.format_exc())
        else:
            self.ok(True, name)

    def attempt(self, what, *arguments):
        """A group of cases; what fails outside of them fails the group."""
        try:
            what(self, *arguments)
        except Exception:  # the suite itself, mostly
            self.ok(False, what.__name__, traceback.format_exc())

    def done(self):
        signal.alarm(0)
        print("1..%d" % self.count, flush=True)
        sys.exit(1 if self.failed else 0)


def expect(condition, why):
    """An assertion that says what was wrong."""
    if not condition:
        raise AssertionError(why)


# ------------------------------------------------------------ processes


def marked(mark):
    """The living processes that carry a mark: {pid: [arguments]}."""
    needle = (MARK + "=" + mark).encode()
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            with open("/proc/%s/environ" % entry, "rb") as f:
                if needle not in f.read().split(b"\0"):
                    continue
            with open("/proc/%s/cmdline" % entry, "rb") as f:
                words = f.read().rstrip(b"\0").split(b"\0")
            with open("/proc/%s/stat" % entry) as f:
                state = f.read().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state not in "ZX":
            found[int(entry)] = [word.decode(errors="replace") for word in words]
    return found


def kill(pid, number):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def is_alive(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def resident_kib(pid):
    """VmRSS, or 0 for a process that is gone."""
    try:
        with open("/proc/%d/status" % pid) as f:
            for line in f:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1])
    except OSError:
        pass
    return 0


class Box:
    """A private directory, and all processes started in it."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="weir-t-")
        self.mark = "%d-%x" % (os.getpid(), random.getrandbits(48))
        self.children = []

    def spawn(self, argv, log, **more):
        env = dict(os.environ, LC_ALL="C.UTF-8")
        env[MARK] = self.mark
        env.pop("NOTIFY_SOCKET", None)
        env.pop("LISTEN_FDS", None)
        child = subprocess.Popen(
            argv,
            cwd=self.dir,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **more
        )
        self.children.append(child)
        return child

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        """Kill what is left; return what that was."""
        left = {}
        for _ in range(10):
            now = marked(self.mark)
            left.update(now)
            for pid in now:
                kill(pid, signal.SIGCONT)
                kill(pid, signal.SIGKILL)
            if not now:
                break
            time.sleep(0.05)
        for child in self.children:
            child.wait(timeout=10)
        shutil.rmtree(self.dir, ignore_errors=True)
        return left


def tail(path, lines=30):
    try:
        with open(path, errors="replace") as f:
            return "".join(f.readlines()[-lines:])
    except OSError:
        return ""


class Mosquitto:
    """A real mosquitto as the remote; max_queued_messages 0 is no limit."""

    def __init__(self, port=None, extra=""):
        path = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin")
        if path is None:
            raise Skip("mosquitto is not installed")
        self.path = path
        self.port = port or free_port()
        self.box = Box()
        self.log = os.path.join(self.box.dir, "log")
        self.config = os.path.join(self.box.dir, "mosquitto.conf")
        with open(self.config, "w") as f:
            f.write("listener %d 127.0.0.1\n" % self.port)
            f.write("allow_anonymous true\npersistence false\n")
            f.write("max_queued_messages 0\nset_tcp_nodelay true\n")
            f.write("log_dest stderr\nlog_type all\n")
            if os.getuid() == 0:
                f.write("user root\n")
            f.write(extra)
        try:
            self.start()
        except BaseException:
            self.box.end()
            raise

    def start(self):
        with open(self.log, "ab") as log:
            self.child = self.box.spawn([self.path, "-c", self.config], log)
        wait_for("mosquitto answers", self.answers)

    def answers(self):
        if self.child.poll() is not None:
            raise AssertionError("mosquitto ended: " + tail(self.log))
        try:
            Mqtt(self.port, "ready?").close()
            return True
        except (OSError, EOFError):
            return False

    def stop(self):
        self.child.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.child.send_signal(signal.SIGCONT)

    def kill(self):
        self.child.kill()
        self.child.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.box.end()


class Weir:
    """`weirctl run` on a configuration; ports and directories are private.

    The keywords are the configuration's top-level keys; None leaves one out.
    """

    def __init__(self, mqtt_port=None, http_port=None, wait=True, **keys):
        self.box = Box()
        self.port = mqtt_port or free_port()
        self.http_port = http_port or free_port()
        self.log = os.path.join(self.box.dir, "log")
        self.config = os.path.join(self.box.dir, "weir.conf")
        http = {"bind": "127.0.0.1:%d" % self.http_port, "stall_timeout": "2s"}
        if keys.get("http", http) is not None:
            http.update(keys.pop("http", {}))
        settings = {
            "run_dir": os.path.join(self.box.dir, "run"),
            "state_dir": os.path.join(self.box.dir, "state"),
            "listeners": [{"bind": "127.0.0.1:%d" % self.port}],
            "allow_anonymous": True,
            "durability": os.environ.get("WEIR_DURABILITY", "disk"),
            "accounts": [{"name": "admin", "password": "public"}],
            "http": http,
        }
        if "WEIR_WORKERS" in os.environ:
            settings["workers"] = int(os.environ["WEIR_WORKERS"])
        settings.update(keys)
        # Most tests are about rings: what is behind them begins when they say.
        for bridge in settings.get("bridges") or ():
            bridge.setdefault("backlog", "0")
        self.settings = {k: v for k, v in settings.items() if v is not None}
        for name in ("run_dir", "state_dir"):
            os.makedirs(self.settings[name], mode=0o700, exist_ok=True)
        with open(self.config, "w") as f:
            f.write(libconfig(self.settings))
        self.child = None
        self.expect_exit = 0
        try:
            self.start()
            if wait:
                self.wait_ready()
        except BaseException:
            print("# " + tail(self.log).replace("\n", "\n# "))
            self.box.end()
            raise

    def start(self):
        with open(self.log, "ab") as log:
            self.child = self.box.spawn(
                [program("weirctl"), "run", "-c", self.config], log
            )

    def wait_ready(self):
        def up():
            if self.child.poll() is not None:
                raise AssertionError(
                    "weirctl run ended with %d" % self.child.returncode
                )
            try:
                Mqtt(self.port, "ready-probe").close()
                if (
                    "http" in self.settings
                    and self.http("GET", "/healthz")[0] != 200
                ):
                    return False
            except (OSError, EOFError):
                return False
            bridges = self.settings.get("bridges", ())
            rings = self.rings() if bridges else []
            return all(
                any(
                    r["to"] == b["name"] and r["consumer_pid"]
                    for r in rings
                    if r["from"] == "broker"
                )
                for b in bridges
            )

        wait_for("Weir is ready", up)

    def pids(self, name, bridge=None):
        """The living processes of a program, or of one bridge."""
        return [
            pid
            for pid, words in marked(self.box.mark).items()
            if os.path.basename(words[0]) == name
            and (bridge is None or words[-1] == bridge)
        ]

    def pid(self, name, bridge=None):
        found = self.pids(name, bridge)
        expect(len(found) == 1, "%d processes of %s" % (len(found), name))
        return found[0]

    def ctl(self, *arguments, check=True, seconds=20):
        """The output of a weirctl verb."""
        done = subprocess.run(
            [program("weirctl"), *arguments, "-c", self.config],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=seconds,
            encoding="utf-8",
        )
        if check and done.returncode != 0:
            raise AssertionError(
                "weirctl %s: exit %d: %s"
                % (" ".join(arguments), done.returncode, done.stderr)
            )
        return done.stdout

    def rings(self):
        try:
            return json.loads(self.ctl("rings", "--json") or "[]")
        except AssertionError:
            return []

    def ring(self, name):
        """One lane by its name, or None."""
        return next((r for r in self.rings() if r["name"] == name), None)

    def ring_is(self, name, **fields):
        """Is there such a lane, and has it these values?"""
        ring = self.ring(name)
        return ring is not None and all(ring[k] == v for k, v in fields.items())

    def http(self, method, path, body=None, auth="admin:public", headers=None):
        """One request: (status, headers, body as text); 0 when refused."""
        connection = Http(self.http_port, auth)
        try:
            return connection.request(method, path, body, headers)
        except (OSError, EOFError):
            return 0, {}, ""
        finally:
            connection.close()

    def publish(self, topic, payload, qos=1, **more):
        """Publish by HTTP; the status."""
        message = dict(topic=topic, payload=payload, qos=qos, **more)
        return self.http("POST", "/api/v4/mqtt/publish", json.dumps(message))[0]

    def mqtt(self, client_id, **more):
        return Mqtt(self.port, client_id, **more)

    def logged(self, text):
        with open(self.log, errors="replace") as f:
            return text in f.read()

    def lines(self, event):
        """The log's lines of an event."""
        with open(self.log, errors="replace") as f:
            return [line for line in f if "event=" + event + " " in line]

    def metric(self, name):
        """A counter (NAME_total) or gauge of the broker, as httpd shows it."""
        for line in self.http("GET", "/metrics")[2].splitlines():
            words = line.split()
            if words and words[0] == "weir_broker_" + name:
                return int(words[1])
        raise AssertionError("there is no metric " + name)

    def reload(self, **keys):
        """Other keys, and SIGHUP for the broker."""
        before = len(self.lines("reloaded"))
        self.settings.update(keys)
        with open(self.config, "w") as f:
            f.write(libconfig(self.settings))
        kill(self.pid("weir-broker"), signal.SIGHUP)
        wait_for("it is reloaded", lambda: len(self.lines("reloaded")) > before)

    def check_log(self):
        for word in ("Sanitizer", "runtime error:", "event=bug"):
            expect(not self.logged(word), "the log has: " + word)

    def shut_down(self, seconds=15):
        """SIGTERM, and its exit status."""
        self.child.send_signal(signal.SIGTERM)
        return self.child.wait(timeout=seconds)

    def kill_all(self):
        """kill -9 of the supervisor and all others; start() begins anew."""

        def is_done():
            living = marked(self.box.mark)
            for pid in living:
                kill(pid, signal.SIGKILL)
            return not living

        kill(self.child.pid, signal.SIGKILL)
        wait_for("all processes are dead", is_done, pause=0)
        self.child.wait()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        problem = None
        try:
            if self.child.poll() is None and self.expect_exit is not None:
                status = self.shut_down()
                if status != self.expect_exit:
                    problem = "weirctl run ended with %d" % status
                elif marked(self.box.mark):
                    problem = "left running: %r" % marked(self.box.mark)
            self.check_log()
        except (AssertionError, subprocess.TimeoutExpired) as error:
            problem = str(error)
        if kind is not None or problem is not None:
            print("# the end of the log:")
            print("# " + tail(self.log, 60).replace("\n", "\n# "), flush=True)
        self.box.end()
        if kind is None and problem is not None:
            raise AssertionError(problem)


# ----------------------------------------------------------------- HTTP


class Http:
    """A keep-alive connection of raw bytes."""

    def __init__(self, port, auth="admin:public", timeout=30):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.auth = auth

    def head(self, method, path, length, headers=None):
        lines = ["%s %s HTTP/1.1" % (method, path), "Host: localhost"]
        if self.auth is not None:
            token = base64.b64encode(self.auth.encode()).decode()
            lines.append("Authorization: Basic " + token)
        if length is not None:
            lines.append("Content-Type: application/json")
            lines.append("Content-Length: %d" % length)
        for name, value in (headers or {}).items():
            lines.append("%s: %s" % (name, value))
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def request(self, method, path, body=None, headers=None):
        data = body.encode() if isinstance(body, str) else body
        length = None if data is None else len(data)
        self.send(self.head(method, path, length, headers) + (data or b""))
        return self.response()

    def send(self, data):
        self.sock.sendall(data)

    def _more(self):
        data = self.sock.recv(65536)
        if not data:
            raise EOFError("the server closed the connection")
        self.buffer += data

    def response(self):
        """(status, {lower-case header: value}, body)."""
        while b"\r\n\r\n" not in self.buffer:
            self._more()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split()[1])
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        length = int(headers.get("content-length", "0"))
        if status in (204, 304) or 100 <= status < 200:
            length = 0
        while len(self.buffer) < length:
            self._more()
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return status, headers, body.decode(errors="replace")

    def is_closed(self, seconds):
        """Did the server close within so many seconds?"""
        self.sock.settimeout(seconds)
        try:
            while True:
                if not self.sock.recv(65536):
                    return True
        except socket.timeout:
            return False
        except OSError as error:
            return error.errno in (errno.ECONNRESET, errno.EPIPE)

    def close(self):
        self.sock.close()


# ----------------------------------------------------------------- MQTT

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = range(1, 8)
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK = range(8, 12)
PINGREQ, PINGRESP, DISCONNECT, AUTH = range(12, 16)


def mqtt_string(text):
    data = text if isinstance(text, bytes) else text.encode()
    return struct.pack(">H", len(data)) + data


def mqtt_length(size):
    out = bytearray()
    while True:
        size, digit = divmod(size, 128)
        out.append(digit | (0x80 if size else 0))
        if not size:
            return bytes(out)


def packet(kind, flags=0, body=b""):
    return bytes([kind << 4 | flags]) + mqtt_length(len(body)) + body


def publish_packet(
    topic, payload, qos=0, packet_id=0, retain=False, dup=False, version=4
):
    body = mqtt_string(topic)
    if qos:
        body += struct.pack(">H", packet_id)
    if version == 5:
        body += b"\0"
    data = payload if isinstance(payload, bytes) else payload.encode()
    flags = (8 if dup else 0) | qos << 1 | (1 if retain else 0)
    return packet(PUBLISH, flags, body + data)


class Message:
    """A PUBLISH as received."""

    def __init__(self, flags, body, version):
        self.dup = bool(flags & 8)
        self.qos = flags >> 1 & 3
        self.retain = bool(flags & 1)
        size = struct.unpack_from(">H", body)[0]
        self.topic = body[2 : 2 + size].decode()
        at = 2 + size
        self.id = 0
        if self.qos:
            self.id = struct.unpack_from(">H", body, at)[0]
            at += 2
        if version == 5:
            length, shift = 0, 0
            while True:
                byte = body[at]
                at += 1
                length |= (byte & 0x7F) << shift
                shift += 7
                if not byte & 0x80:
                    break
            at += length
        self.payload = body[at:]
        self.arrived = time.monotonic()


class Mqtt:
    """One MQTT connection, packet by packet, and nothing automatic."""

    def __init__(
        self,
        port,
        client_id,
        version=4,
        clean=True,
        keepalive=60,
        username=None,
        password=None,
        will=None,
        timeout=10,
        connect=True,
        host="127.0.0.1",
        properties=b"",
        will_properties=b"",
        sock=None,
    ):
        self.version = version
        self.sock = sock or socket.create_connection((host, port), timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()
        self.next_id = 0
        self.connack = None
        if not connect:
            return
        try:
            self.send(
                self.connect_packet(
                    client_id,
                    clean,
                    keepalive,
                    username,
                    password,
                    will,
                    properties,
                    will_properties,
                )
            )
            kind, _, body = self.read(timeout)
            expect(kind == CONNACK, "packet %d, not CONNACK" % kind)
            self.connack = body
            self.session_present = bool(body[0] & 1)
        except BaseException:
            self.sock.close()
            raise

    def connect_packet(
        self,
        client_id,
        clean,
        keepalive,
        username,
        password,
        will,
        properties,
        will_properties=b"",
    ):
        flags = 2 if clean else 0
        v5 = self.version == 5
        tail_bytes = mqtt_string(client_id)
        if will is not None:
            topic, payload, qos, retain = will
            flags |= 4 | qos << 3 | (0x20 if retain else 0)
            if v5:
                tail_bytes += mqtt_length(len(will_properties)) + will_properties
            tail_bytes += mqtt_string(topic) + mqtt_string(payload)
        if username is not None:
            flags |= 0x80
            tail_bytes += mqtt_string(username)
        if password is not None:
            flags |= 0x40
            tail_bytes += mqtt_string(password)
        body = mqtt_string("MQTT") + bytes([self.version, flags])
        body += struct.pack(">H", keepalive)
        if v5:
            body += mqtt_length(len(properties)) + properties
        return packet(CONNECT, 0, body + tail_bytes)

    @property
    def return_code(self):
        return self.connack[1]

    def send(self, data):
        self.sock.sendall(data)

    def _take(self):
        """A whole packet out of the buffer, or None."""
        if len(self.buffer) < 2:
            return None
        length, shift, at = 0, 0, 1
        while True:
            if at >= len(self.buffer):
                return None
            byte = self.buffer[at]
            at += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                break
        if len(self.buffer) < at + length:
            return None
        first = self.buffer[0]
        body = bytes(self.buffer[at : at + length])
        del self.buffer[: at + length]
        return first >> 4, first & 15, body

    def read(self, timeout=10):
        """The next packet: (type, flags, body); EOFError when closed."""
        deadline = time.monotonic() + timeout
        while True:
            whole = self._take()
            if whole is not None:
                return whole
            left = deadline - time.monotonic()
            if left <= 0:
                raise AssertionError("no packet within %g s" % timeout)
            self.sock.settimeout(left)
            try:
                data = self.sock.recv(262144)
            except socket.timeout:
                continue
            except ConnectionResetError:
                raise EOFError("connection reset") from None
            if not data:
                raise EOFError("connection closed")
            self.buffer += data

    def expect(self, want, timeout=10):
        """The body of the next packet, which must be of this type."""
        kind, _, body = self.read(timeout)
        expect(kind == want, "packet type %d, wanted %d" % (kind, want))
        return body

    def is_silent(self, seconds):
        """Does nothing at all arrive within so many seconds?"""
        try:
            self.read(seconds)
        except AssertionError:
            return True
        return False

    def is_closed(self, seconds=10):
        try:
            deadline = time.monotonic() + seconds
            while True:
                self.read(max(0.01, deadline - time.monotonic()))
        except EOFError:
            return True
        except AssertionError:
            return False

    def new_id(self):
        self.next_id = self.next_id % 65535 + 1
        return self.next_id

    def subscribe(self, topic_filter, qos=0):
        """Subscribe; the granted QoS or the failure code."""
        packet_id = self.new_id()
        body = struct.pack(">H", packet_id)
        body += b"\0" if self.version == 5 else b""
        body += mqtt_string(topic_filter) + bytes([qos])
        self.send(packet(SUBSCRIBE, 2, body))
        reply = self.expect(SUBACK)
        expect(reply[:2] == struct.pack(">H", packet_id), "SUBACK of another id")
        return reply[-1]

    def publish(self, topic, payload, qos=0, retain=False, wait=True):
        """Publish, and wait for PUBACK or PUBCOMP; the packet id."""
        packet_id = self.new_id() if qos else 0
        self.send(
            publish_packet(
                topic, payload, qos, packet_id, retain, version=self.version
            )
        )
        if not wait or not qos:
            return packet_id
        if qos == 1:
            self.expect(PUBACK)
        else:
            self.expect(PUBREC)
            self.send(packet(PUBREL, 2, struct.pack(">H", packet_id)))
            self.expect(PUBCOMP)
        return packet_id

    def receive(self, timeout=10):
        """The next message, acknowledged.

        A message of QoS 2 is returned when its PUBLISH comes; its PUBREL,
        which may come after other messages, is answered on the way.
        """
        while True:
            kind, flags, body = self.read(timeout)
            if kind == PUBREL:
                self.send(packet(PUBCOMP, 0, body[:2]))
                continue
            expect(kind == PUBLISH, "packet type %d, not PUBLISH" % kind)
            message = Message(flags, body, self.version)
            if message.qos:
                answer = PUBACK if message.qos == 1 else PUBREC
                self.send(packet(answer, 0, struct.pack(">H", message.id)))
            return message

    def ping(self, timeout=10):
        self.send(packet(PINGREQ))
        self.expect(PINGRESP, timeout)

    def close(self):
        with contextlib.suppress(OSError):
            self.send(packet(DISCONNECT))
        self.sock.close()

    def cut(self):
        """Close without DISCONNECT."""
        self.sock.close()


class Collector(threading.Thread):
    """A subscriber that keeps all it receives, in order, acknowledged."""

    def __init__(self, port, topic_filter, qos=1, client_id=None):
        super().__init__(daemon=True)
        self.messages = []
        self.broken = None
        self.stopping = False
        name = client_id or "collector-%x" % random.getrandbits(40)
        self.client = Mqtt(port, name, keepalive=0)
        granted = self.client.subscribe(topic_filter, qos)
        expect(granted == qos, "granted QoS %#x" % granted)
        self.start()

    def run(self):
        while not self.stopping:
            try:
                self.messages.append(self.client.receive(timeout=0.5))
            except AssertionError as error:
                if "no packet" not in str(error):
                    self.broken = error
                    return
            except (EOFError, OSError) as error:
                if not self.stopping:
                    self.broken = error
                return

    def payloads(self):
        return [m.payload.decode(errors="replace") for m in list(self.messages)]

    def wait_count(self, count, seconds=None):
        wait_for(
            "%d messages (there are %d)" % (count, len(self.messages)),
            lambda: len(self.messages) >= count or self.broken,
            seconds,
        )

    def stop(self):
        self.stopping = True
        self.join(timeout=5)
        self.client.close()


def cpu_count():
    return len(os.sched_getaffinity(0))
