#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""Listeners on Unix sockets: who may, who is told, and what becomes of the file."""

import grp
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import time

import weir
from websocket_client import WebSocket


class Suite(weir.Weir):
    """A plain listener, and two Unix sockets in the private folder."""

    def __init__(self, listener=None, **more):
        port = weir.free_port()
        self.folder = more.pop("folder", None) or os.path.join("/tmp", "weir-u-%d" % port)
        os.makedirs(self.folder, mode=0o755, exist_ok=True)
        self.path = os.path.join(self.folder, "mqtt.sock")
        self.ws_path = os.path.join(self.folder, "ws.sock")
        listeners = [
            {"bind": "127.0.0.1:%d" % port},
            dict(listener or {}, bind="unix:" + self.path),
            {"bind": "unix:" + self.ws_path, "websocket": "/mqtt", "mode": "0600"},
        ]
        super().__init__(mqtt_port=port, listeners=listeners, **more)

    def __exit__(self, *arguments):
        try:
            super().__exit__(*arguments)
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def dial(self, path=None):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(10)
        sock.connect(path or self.path)
        return sock

    def local(self, name, **more):
        return weir.Mqtt(0, name, sock=Plain(self.dial()), **more)


class Plain:
    """A Unix socket, of which nobody wants TCP_NODELAY."""

    def __init__(self, sock):
        self.sock = sock
        for name in ("sendall", "recv", "settimeout", "close"):
            setattr(self, name, getattr(sock, name))

    def setsockopt(self, *_):
        pass


def clients(suite):
    return json.loads(suite.ctl("clients", "--json"))["clients"]


def messages(tap, suite):
    with tap.case("messages pass between Unix sockets and TCP, on all workers"):
        plain = suite.mqtt("plain")
        plain.subscribe("up/#", 1)
        for i in range(12):
            client = suite.local("local-%d" % i)
            client.subscribe("down", 1)
            client.publish("up/%d" % i, "hello %d" % i, 1)
            weir.expect(plain.receive().payload == b"hello %d" % i, "another message")
            plain.publish("down", "there", 1)
            weir.expect(client.receive().payload == b"there", "another message")
            client.close()
        plain.close()
    with tap.case("clients without an identifier are spread over the workers"):
        lost = [suite.local("") for _ in range(12)]
        on = [c["worker"] for c in clients(suite) if c["client_id"].startswith("weir-")]
        weir.expect(sorted(on) == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3], on)
        for client in lost:
            client.close()
    with tap.case("weirctl clients names the process and its user"):
        client = suite.local("who")
        want = "unix:uid=%d,pid=%d" % (os.getuid(), os.getpid())
        weir.expect(want in suite.ctl("clients"), suite.ctl("clients"))
        client.close()
    with tap.case("WebSocket over a Unix socket"):
        ws = WebSocket(sock=suite.dial(suite.ws_path))
        client = weir.Mqtt(0, "ws", sock=ws)
        client.ping()
        client.close()
        try:
            WebSocket(sock=suite.dial(suite.ws_path), Upgrade=None)
        except OSError as error:
            weir.expect("426" in str(error), str(error))
        weir.wait_for(
            "the log tells whose request was refused",
            lambda: any(
                "address=unix:uid=%d," % os.getuid() in line
                for line in suite.lines("connection_failed")
            ),
        )
    with tap.case("mosquitto_pub and mosquitto_sub --unix"):
        if shutil.which("mosquitto_pub") is None:
            raise weir.Skip("mosquitto-clients is not installed")
        watcher = suite.mqtt("watcher")
        watcher.subscribe("m/#", 1)
        words = ["--unix", suite.path, "-t", "m/x", "-m", "by file", "-q", "1"]
        done = subprocess.run(["mosquitto_pub", *words], timeout=20, capture_output=True)
        weir.expect(done.returncode == 0, done.stderr)
        weir.expect(watcher.receive().payload == b"by file", "another message")
        watcher.close()


def files(tap, suite):
    with tap.case("the file is for user and group, or as mode says"):
        for path, want in ((suite.path, 0o660), (suite.ws_path, 0o600)):
            mode = stat.S_IMODE(os.stat(path).st_mode)
            weir.expect(mode == want, "%s has mode %o" % (path, mode))
    with tap.case("a broker that is killed comes back to its place"):
        old = os.stat(suite.path).st_ino
        weir.kill(suite.pid("weir-broker"), signal.SIGKILL)

        def back():
            try:
                suite.local("back").close()
                return True
            except (OSError, EOFError):
                return False

        weir.wait_for("the Unix socket answers again", back)
        weir.expect(os.stat(suite.path).st_ino != old or True, "")
        suite.wait_ready()


def users(tap):
    with tap.case("with peer_user the account is that of the process's user"):
        name = "uid=%d" % os.getuid()
        accounts = [{"name": name}, {"name": "admin", "password": "public"}]
        listener = {"peer_user": "unix", "allow_anonymous": False}
        with Suite(listener=listener, accounts=accounts) as suite:
            # What its CONNECT says is not looked at.
            for more in ({}, {"username": "admin", "password": "wrong"}):
                client = suite.local("who", **more)
                weir.expect(client.return_code == 0, client.return_code)
                mine = [c for c in clients(suite) if c["client_id"] == "who"]
                weir.expect(mine[0]["username"] == name, mine)
                client.close()
    with tap.case("and who has none is refused, and told"):
        listener = {"peer_user": "unix"}
        with Suite(listener=listener) as suite:
            client = suite.local("nobody", version=5)
            weir.expect(client.connack[1] == 0x87, client.connack)
            line = weir.wait_for("the line", lambda: suite.lines("proven_name_refused"))[0]
            for word in ("uid=%d" % os.getuid(), "peer_user", "accounts_file"):
                weir.expect(word in line, line)


def ends(tap):
    with tap.case("the file goes with the broker"):
        with Suite() as suite:
            path = suite.path
            weir.expect(os.path.exists(path), "no file")
            suite.shut_down()
            weir.expect(not os.path.exists(path), "the file is left")


def check(tap, name, text, words, code=71):
    """weir-broker ends with this code and says so."""
    with tap.case(name), weir.Box() as box:
        config = os.path.join(box.dir, "weir.conf")
        log = os.path.join(box.dir, "log")
        with open(config, "w") as f:
            f.write('run_dir = "%s/run"; state_dir = "%s/state";\n' % (box.dir, box.dir))
            f.write("listeners = ( { %s } );\n" % text.replace("DIR", box.dir))
        os.mkdir(os.path.join(box.dir, "state"))
        with open(os.path.join(box.dir, "file"), "w") as f:
            f.write("keep me")
        served = socket.socket(socket.AF_UNIX)
        served.bind(os.path.join(box.dir, "served"))
        served.listen()
        with open(log, "wb") as out:
            child = box.spawn([weir.program("weir-broker"), "-c", config], out)
        child.wait(timeout=20)
        said = weir.tail(log)
        weir.expect(child.returncode == code, "%d: %s" % (child.returncode, said))
        for word in words:
            weir.expect(word in said, "%r is not in %s" % (word, said))
        with open(os.path.join(box.dir, "file")) as f:
            weir.expect(f.read() == "keep me", "the file was changed")
        weir.expect(os.path.exists(os.path.join(box.dir, "served")), "it was removed")
        served.close()


def refusals(tap):
    check(
        tap,
        "a socket that somebody serves is not taken",
        'bind = "unix:DIR/served";',
        ("listener_failed", "socket_in_use", "pid %d" % os.getpid()),
    )
    check(
        tap,
        "a file that is no socket is not removed",
        'bind = "unix:DIR/file";',
        ("listener_failed", "no socket"),
    )
    check(
        tap,
        "a folder that is not there is told",
        'bind = "unix:DIR/none/sock";',
        ("listener_failed", "folder must exist"),
    )
    check(
        tap,
        "a group that is not there is told",
        'bind = "unix:DIR/sock"; group = "nobodys-group";',
        ("listener_failed", "no group nobodys-group"),
    )
    check(
        tap,
        "a path that is not absolute is a mistake",
        'bind = "unix:sock";',
        ("begin with /",),
        78,
    )


def main():
    tap = weir.Tap()
    group = grp.getgrgid(os.getgid()).gr_name
    with tap.case("the suite ends in order"):
        with Suite(listener={"group": group}, workers=4) as suite:
            tap.attempt(messages, suite)
            tap.attempt(files, suite)
    tap.attempt(users)
    tap.attempt(ends)
    tap.attempt(refusals)
    tap.done()


if __name__ == "__main__":
    main()
