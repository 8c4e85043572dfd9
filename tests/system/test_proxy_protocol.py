#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""The PROXY protocol: whose a connection is, and who may say so."""

import ipaddress
import json
import os
import shutil
import socket
import struct
import time

import weir
from websocket_client import WebSocket

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LOCAL, PROXY = 0x20, 0x21


def entry(kind, value):
    return struct.pack(">BH", kind, len(value)) + value


def header(address=None, port=40000, command=PROXY, entries=b"", family=None):
    """A header of version 2; without an address it names none."""
    rest = b""
    kind = 0
    if address is not None:
        ip = ipaddress.ip_address(address)
        kind = 0x11 if ip.version == 4 else 0x21
        rest = ip.packed + bytes(len(ip.packed)) + struct.pack(">HH", port, 1883)
    rest += entries
    kind = kind if family is None else family
    return SIGNATURE + struct.pack(">BBH", command, kind, len(rest)) + rest


class Proxied:
    """A connection that begins with a header, used like a socket."""

    def __init__(self, port=None, head=b"", sock=None):
        self.sock = sock or socket.create_connection(("127.0.0.1", port), 10)
        self.head = head
        for name in ("recv", "settimeout", "close"):
            setattr(self, name, getattr(self.sock, name))

    def sendall(self, data):
        self.sock.sendall(self.head + data)
        self.head = b""

    def setsockopt(self, *_):
        pass


class Suite(weir.Weir):
    """Plain, proxied by loopback, by another network, by WebSocket, by file."""

    def __init__(self, proxied=None, **more):
        port, self.proxied, self.far, self.ws = (weir.free_port() for _ in range(4))
        self.folder = os.path.join("/tmp", "weir-p-%d" % port)
        os.makedirs(self.folder, exist_ok=True)
        self.path = os.path.join(self.folder, "mqtt.sock")
        at = "127.0.0.1:%d"
        listeners = [
            {"bind": at % port},
            dict(proxied or {}, bind=at % self.proxied, proxy_protocol=True),
            {
                "bind": at % self.far,
                "proxy_protocol": True,
                "proxy_from": ["10.0.0.0/8", "fd00::/8"],
            },
            {"bind": at % self.ws, "proxy_protocol": True, "websocket": "/mqtt"},
            {"bind": "unix:" + self.path, "proxy_protocol": True},
        ]
        super().__init__(mqtt_port=port, listeners=listeners, **more)

    def __exit__(self, *arguments):
        try:
            super().__exit__(*arguments)
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def client(self, name, head, **more):
        return weir.Mqtt(0, name, sock=Proxied(self.proxied, head), **more)

    def address(self, name):
        return json.loads(self.ctl("clients", name, "--json"))["clients"][0]["address"]

    def serves(self):
        started = time.monotonic()
        self.client("next", header("10.9.9.9")).close()
        took = time.monotonic() - started
        weir.expect(took < 1, "the next client was served after %.2f s" % took)


def addresses(tap, suite):
    rows = (
        ("IPv4", header("10.0.0.7", 40001), "10.0.0.7:40001"),
        ("IPv6", header("fd00::7", 40002), "[fd00::7]:40002"),
        ("mapped IPv4", header("::ffff:10.0.0.8", 40003), "10.0.0.8:40003"),
        ("entries", header("10.0.0.9", 1, entries=entry(4, b"x" * 300)), "10.0.0.9:1"),
        ("all of 64 KiB", header("10.0.0.1", 1, entries=entry(5, b"x" * 65520)), "10.0.0.1:1"),
    )
    for name, head, want in rows:
        with tap.case("the address is the client's: " + name):
            client = suite.client("who", head)
            weir.expect(suite.address("who") == want, suite.address("who"))
            client.ping()
            client.close()
    with tap.case("what names no client leaves the proxy's address"):
        for head in (
            header(command=LOCAL),
            header("10.0.0.7", command=LOCAL),
            header(),
            header(family=0x31, entries=bytes(216)),
        ):
            client = suite.client("who", head)
            address = suite.address("who")
            weir.expect(address.startswith("127.0.0.1:"), address)
            client.close()
    with tap.case("the log has the client's address, too"):
        client = suite.client("logged", header("10.1.2.3", 77), version=5)
        client.send(b"\0\0")
        weir.expect(client.is_closed(), "still open")
        weir.wait_for(
            "the line of the client",
            lambda: any("address=10.1.2.3:77 " in line for line in suite.lines("client_failed")),
        )
    with tap.case("the header may come byte by byte, and with the CONNECT"):
        head = header("10.0.0.7", 5, entries=entry(4, b"12"))
        sock = socket.create_connection(("127.0.0.1", suite.proxied), 10)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(len(head)):
            sock.sendall(head[i : i + 1])
        client = weir.Mqtt(0, "slow", sock=sock)
        weir.expect(suite.address("slow") == "10.0.0.7:5", suite.address("slow"))
        client.close()
    with tap.case("clients on all workers reach each other"):
        plain = suite.mqtt("plain")
        plain.subscribe("up/#", 1)
        for i in range(8):
            client = suite.client("c%d" % i, header("10.0.0.%d" % i))
            client.publish("up/%d" % i, "m%d" % i, 1)
            weir.expect(plain.receive().payload == b"m%d" % i, "another message")
            client.close()
        plain.close()
    with tap.case("below WebSocket"):
        sock = socket.create_connection(("127.0.0.1", suite.ws), 10)
        sock.sendall(header("10.0.0.7", 6))
        client = weir.Mqtt(0, "ws", sock=WebSocket(sock=sock))
        weir.expect(suite.address("ws") == "10.0.0.7:6", suite.address("ws"))
        client.close()
    with tap.case("over a Unix socket"):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(10)
        sock.connect(suite.path)
        head = header("10.0.0.7", 7)
        client = weir.Mqtt(0, "file", sock=Proxied(head=head, sock=sock))
        weir.expect(suite.address("file") == "10.0.0.7:7", suite.address("file"))
        client.close()


def is_refused(port, data, shut=False):
    """Closed, and not a byte was answered."""
    with socket.create_connection(("127.0.0.1", port), 10) as sock:
        try:
            sock.sendall(data)
            if shut:
                sock.shutdown(socket.SHUT_WR)
            return sock.recv(100) == b""
        except ConnectionResetError:
            return True


CONNECT = weir.packet(weir.CONNECT, 0, b"\0\4MQTT\4\2\0\0\0\1x")
GOOD = header("10.0.0.7")
BAD = (
    ("MQTT without a header", CONNECT, "past the proxy"),
    ("version 1", b"PROXY TCP4 10.0.0.7 10.0.0.1 4000 1883\r\n", "send-proxy-v2"),
    ("TLS without a header", b"\x16\x03\x01", "past the proxy"),
    ("another version", SIGNATURE + b"\x31\x11\0\x0c" + bytes(12), "another version"),
    ("an unknown command", SIGNATURE + b"\x22\x11\0\x0c" + bytes(12), "unknown command"),
    ("UDP", header("10.0.0.7", family=0x12), "another transport"),
    ("half an address", SIGNATURE + b"\x21\x11\0\x0b" + bytes(11), "too short"),
    ("1 byte left over", header("10.0.0.7", entries=b"\4"), "within an entry"),
    ("2 bytes left over", header("10.0.0.7", entries=b"\4\0"), "within an entry"),
    ("an entry that is longer", header("10.0.0.7", entries=b"\4\0\x09x"), "within an entry"),
    ("a wrong checksum", header("10.0.0.7", entries=entry(3, b"abcd")), "checksum is wrong"),
)


def bad_headers(tap, suite):
    for name, data, words in BAD:
        with tap.case("refused, and told: " + name):
            before = suite.metric("connections_failed_total")
            weir.expect(is_refused(suite.proxied, data), "not closed")
            weir.wait_for(
                "the log says: " + words,
                lambda words=words: any(
                    words in line for line in suite.lines("connection_failed")
                ),
            )
            weir.expect(suite.metric("connections_failed_total") == before + 1, "not counted")
            suite.serves()
    with tap.case("every cut of a header is no connection, and no harm"):
        for size in range(len(GOOD)):
            weir.expect(is_refused(suite.proxied, GOOD[:size], True), "%d bytes" % size)
        suite.serves()
    with tap.case("who is not among proxy_from is refused before a byte is read"):
        weir.expect(is_refused(suite.far, GOOD + CONNECT), "not closed")
        weir.wait_for(
            "the line",
            lambda: any(
                "address=127.0.0.1:" in line and "proxy_from" in line
                for line in suite.lines("connection_failed")
            ),
        )
        weir.expect(suite.metric("proxies_refused_total") == 1, "not counted")
    with tap.case("without proxy_protocol a header is no MQTT"):
        weir.expect(is_refused(suite.port, GOOD + CONNECT), "not closed")


def limits(tap):
    with tap.case("limits of an address are the client's, not the proxy's"):
        with Suite(max_connections_per_address=2) as suite:
            two = [suite.client("a%d" % i, header("10.0.0.7")) for i in range(2)]
            before = len(suite.lines("connection_failed"))
            weir.expect(is_refused(suite.proxied, GOOD + CONNECT), "a third came in")
            weir.expect(len(suite.lines("connection_failed")) == before, "as a fault")
            other = [suite.client("b%d" % i, header("10.0.0.8")) for i in range(2)]
            for client in two + other:
                client.ping()
            two[0].close()
            weir.wait_for(
                "there is room again",
                lambda: not is_refused_softly(suite, header("10.0.0.7")),
            )
            for client in [two[1]] + other:
                client.close()


def certified(name, verified=True, shown=True):
    """A header of a client whose certificate the proxy has seen."""
    flags = 1 | (2 if shown else 0)
    inner = entry(0x21, b"TLSv1.3") + entry(0x22, name)
    value = struct.pack(">BI", flags, 0 if verified else 1) + inner
    return header("10.0.0.7", entries=entry(0x20, value))


def users(tap):
    accounts = [{"name": "sensor-7"}, {"name": "admin", "password": "public"}]
    with tap.case("with peer_user the account is that of the certificate"):
        with Suite(proxied={"peer_user": "proxy"}, accounts=accounts) as suite:
            client = suite.client("who", certified(b"sensor-7"), version=5)
            seen = json.loads(suite.ctl("clients", "who", "--json"))["clients"][0]
            weir.expect(seen["username"] == "sensor-7", seen)
            client.close()
            stranger = suite.client("x", certified(b"stranger"), version=5)
            weir.expect(stranger.connack[1] == 0x87, stranger.connack)
            # One that was not verified is none: the CONNECT must say who it is.
            for head in (
                certified(b"sensor-7", verified=False),
                certified(b"sensor-7", shown=False),
                header("10.0.0.7"),
            ):
                refused = suite.client("y", head, version=5, username="sensor-7")
                weir.expect(refused.connack[1] in (0x86, 0x87), refused.connack)
                admin = suite.client(
                    "z", head, version=5, username="admin", password="public"
                )
                weir.expect(admin.connack[1] == 0, admin.connack)
                admin.close()
    with tap.case("without peer_user a certificate that a proxy tells of is nothing"):
        with Suite(accounts=accounts) as suite:
            client = suite.client("who", certified(b"sensor-7"), version=5)
            seen = json.loads(suite.ctl("clients", "who", "--json"))["clients"][0]
            weir.expect(seen["username"] != "sensor-7", seen)
            client.close()


def is_refused_softly(suite, head):
    try:
        suite.client("again", head).close()
        return False
    except (OSError, EOFError):
        return True


def hostile(tap):
    with tap.case("half a header is closed at connect_timeout"):
        with Suite(connect_timeout="300ms", workers=2) as suite:
            half = []
            for i in range(100):
                half.append(socket.create_connection(("127.0.0.1", suite.proxied), 10))
                half[-1].sendall(GOOD[: i % len(GOOD)])
            suite.serves()
            for sock in half:
                weir.expect(sock.recv(1) == b"", "not closed")
                sock.close()
            weir.expect(suite.metric("connect_timeouts_total") >= 100, "not counted")
            suite.serves()
            # Some that wait when the broker ends.
            for _ in range(5):
                half.append(socket.create_connection(("127.0.0.1", suite.proxied), 10))


def main():
    tap = weir.Tap()
    with tap.case("the suite ends in order"), Suite(workers=4) as suite:
        tap.attempt(addresses, suite)
        tap.attempt(bad_headers, suite)
    tap.attempt(limits)
    tap.attempt(users)
    tap.attempt(hostile)
    tap.done()


if __name__ == "__main__":
    main()
