#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""Sockets that a supervisor holds: whoever connects while no broker runs waits."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import weir
from websocket_client import WebSocket

# Puts the descriptors where LISTEN_FDS wants them, as a supervisor does.
HAND_OVER = """
import os, sys
fds, names = [int(word) for word in sys.argv[1].split(",")], sys.argv[2]
spare = [os.dup(fd) for fd in fds]
for at, fd in enumerate(spare):
    os.dup2(fd, 3 + at, inheritable=True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES=names)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Supervisor:
    """Holds the sockets, and starts a broker on them as often as asked."""

    def __init__(self, listeners, sockets, workers=4):
        self.box = weir.Box()
        self.sockets = sockets
        self.log = os.path.join(self.box.dir, "log")
        self.config = os.path.join(self.box.dir, "weir.conf")
        state = os.path.join(self.box.dir, "state")
        os.mkdir(state)
        with open(self.config, "w") as f:
            f.write(
                weir.libconfig(
                    {
                        "run_dir": os.path.join(self.box.dir, "run"),
                        "state_dir": state,
                        "workers": workers,
                        "listeners": listeners,
                    }
                )
            )

    def start(self):
        fds = [sock.fileno() for _, sock in self.sockets]
        names = ":".join(name for name, _ in self.sockets)
        words = [sys.executable, "-c", HAND_OVER, ",".join(map(str, fds)), names]
        words += [weir.program("weir-broker"), "-c", self.config]
        with open(self.log, "ab") as log:
            self.child = self.box.spawn(words, log, pass_fds=fds)

    def said(self, event):
        with open(self.log, errors="replace") as f:
            return [line for line in f if "event=" + event + " " in line]

    def clients(self):
        words = [weir.program("weirctl"), "clients", "--json", "-c", self.config]
        done = subprocess.run(words, capture_output=True, timeout=20, check=True)
        return json.loads(done.stdout)["clients"]

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            print("# " + weir.tail(self.log).replace("\n", "\n# "), flush=True)
        self.box.end()
        for _, sock in self.sockets:
            sock.close()


class Plain:
    """A Unix socket, of which nobody wants TCP_NODELAY."""

    def __init__(self, sock):
        for name in ("sendall", "recv", "settimeout", "close"):
            setattr(self, name, getattr(sock, name))

    def setsockopt(self, *_):
        pass


def listening(address):
    if isinstance(address, str):
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(address)
    else:
        sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
    sock.listen(512)
    return sock


def dial(path):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(20)
    sock.connect(path)
    return sock


def cases(tap):
    folder = "/tmp/weir-a-%d" % os.getpid()
    os.mkdir(folder)
    path = os.path.join(folder, "mqtt.sock")
    port, ws, own = (weir.free_port() for _ in range(3))
    listeners = [
        {"bind": "127.0.0.1:%d" % port},
        {"bind": "unix:" + path},
        {"bind": "127.0.0.1:%d" % ws, "websocket": "/mqtt"},
        {"bind": "127.0.0.1:%d" % own},
    ]
    stray = listening(("127.0.0.1", 0))
    sockets = [
        ("mqtt", listening(("127.0.0.1", port))),
        ("local", listening(path)),
        ("stray", stray),
        ("mqtt-ws", listening(("127.0.0.1", ws))),
    ]
    try:
        with Supervisor(listeners, sockets) as box:
            tap.attempt(lives, box, port, path, ws, own)
            tap.attempt(restarts, box, port, path)
    finally:
        shutil.rmtree(folder)


def lives(tap, box, port, path, ws, own):
    with tap.case("who came before the broker did is served when it does"):
        early = [weir.Mqtt(port, "", connect=False) for _ in range(12)]
        for i, client in enumerate(early):
            client.send(client.connect_packet("", True, 60, None, None, None, b""))
        box.start()
        for client in early:
            weir.expect(client.expect(weir.CONNACK, 20) == b"\0\0", "refused")
        workers = sorted(c["worker"] for c in box.clients())
        weir.expect(workers == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3], workers)
        for client in early:
            client.close()
    with tap.case("sockets are known by their addresses; others are bound as ever"):
        weir.Mqtt(0, "by-file", sock=Plain(dial(path))).close()
        weir.Mqtt(0, "by-web", sock=WebSocket(ws)).close()
        weir.Mqtt(own, "by-own").close()
        weir.expect(len(box.said("socket_inherited")) == 3, box.said("socket_inherited"))
    with tap.case("one that no listener claims is told, and closed"):
        lines = box.said("socket_unclaimed")
        weir.expect(len(lines) == 1 and 'name="stray"' in lines[0], lines)
        at = "/proc/%d/fd" % box.child.pid
        inode = "socket:[%d]" % os.stat(dict(box.sockets)["stray"].fileno()).st_ino
        open_ones = [os.readlink(os.path.join(at, fd)) for fd in os.listdir(at)]
        weir.expect(inode not in open_ones, "it is open")


def waiting(port, count, prefix):
    """Connections and their CONNECT, for whoever comes to take them."""
    clients = []
    for i in range(count):
        client = weir.Mqtt(port, "", connect=False)
        name = "%s-%d" % (prefix, i)
        client.send(client.connect_packet(name, True, 60, None, None, None, b""))
        clients.append(client)
    return clients


def restarts(tap, box, port, path):
    for name, number in (("killed", signal.SIGKILL), ("ended", signal.SIGTERM)):
        with tap.case("a broker that is %s loses no connection attempt" % name):
            box.child.send_signal(number)
            box.child.wait(timeout=20)
            clients = waiting(port, 100, name)
            local = weir.Mqtt(0, "", sock=Plain(dial(path)), connect=False)
            local.send(local.connect_packet(name, True, 60, None, None, None, b""))
            weir.expect(os.path.exists(path), "the socket's file went along")
            box.start()
            for client in clients + [local]:
                weir.expect(client.expect(weir.CONNACK, 20) == b"\0\0", "refused")
                client.close()
    with tap.case("and while it is killed again and again, none is refused"):
        stop = time.monotonic() + 30
        for _ in range(3):
            client = weir.Mqtt(port, "again", timeout=20)
            box.child.kill()
            box.child.wait()
            next_one = waiting(port, 5, "again")
            box.start()
            for one in next_one:
                weir.expect(one.expect(weir.CONNACK, 20) == b"\0\0", "refused")
                one.close()
            client.cut()
        weir.expect(time.monotonic() < stop, "it took too long")
    with tap.case("it ends in order, and leaves the file of the socket"):
        box.child.send_signal(signal.SIGTERM)
        weir.expect(box.child.wait(timeout=20) == 0, box.child.returncode)
        weir.expect(os.path.exists(path), "the socket's file went along")


def main():
    tap = weir.Tap()
    tap.attempt(cases)
    tap.done()


if __name__ == "__main__":
    main()
