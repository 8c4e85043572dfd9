#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""Listeners that speak MQTT over WebSocket, to clients good and bad."""

import os
import socket
import ssl
import struct
import tempfile
import threading
import time

import certificates
import weir
from websocket_client import (
    BINARY,
    CLOSE,
    PING,
    REST,
    TEXT,
    WebSocket,
    head_of,
    masked,
    request,
)

try:
    import paho.mqtt.client as paho
except ImportError:
    paho = None


class Suite(weir.Weir):
    """A plain listener, one of WebSocket, and one that knows its origins."""

    def __init__(self, tls=None, **more):
        self.ws_port = weir.free_port()
        self.origin_port = weir.free_port()
        port = weir.free_port()
        listeners = [
            {"bind": "127.0.0.1:%d" % port},
            {"bind": "127.0.0.1:%d" % self.ws_port, "websocket": "/mqtt"},
            {
                "bind": "127.0.0.1:%d" % self.origin_port,
                "websocket": "/live",
                "websocket_origins": ["https://good.example", "http://localhost:3000"],
            },
        ]
        if tls is not None:
            listeners[1]["tls"] = tls
        super().__init__(mqtt_port=port, listeners=listeners, **more)

    def ws(self, name, seed=None, **more):
        return weir.Mqtt(
            self.ws_port, name, sock=WebSocket(self.ws_port, seed=seed), **more
        )

    def serves(self):
        """The next client is served, and soon."""
        started = time.monotonic()
        self.ws("next").close()
        took = time.monotonic() - started
        weir.expect(took < 1, "the next client was served after %.2f s" % took)


def take(client):
    """The next message, and of QoS 2 the whole exchange."""
    message = client.receive()
    if message.qos == 2:
        body = client.expect(weir.PUBREL)
        client.send(weir.packet(weir.PUBCOMP, 0, body[:2]))
    return message


def good_clients(tap, suite):
    with tap.case(
        "all QoS pass both ways, however the frames are cut "
        "[MQTT-6.0.0-2] [MQTT3-6.0.0-2] [MQTT-4.2.0-1]"
    ):
        plain = suite.mqtt("plain", version=5)
        plain.subscribe("up/#", 2)
        for seed in (None, 1, 2):
            for version in (4, 5):
                client = suite.ws("c%s" % seed, seed=seed, version=version)
                client.subscribe("down/#", 2)
                for qos in (0, 1, 2):
                    text = "%d-%s-%d" % (version, seed, qos)
                    client.publish("up/x", text, qos)
                    got = take(plain)
                    weir.expect(got.payload == text.encode(), got.payload)
                    plain.publish("down/x", text, qos)
                    got = take(client)
                    weir.expect(got.payload == text.encode(), got.payload)
                    weir.expect(got.qos == qos, got.qos)
                client.ping()
                if seed is not None:
                    weir.expect(client.sock.pongs > 0, "no ping was answered")
                client.close()
        plain.close()
    with tap.case("what is large passes whole"):
        client = suite.ws("large", seed=3)
        client.subscribe("large", 1)
        data = os.urandom(300000)
        client.publish("large", data, 1, wait=False)
        kinds = {}
        for _ in range(2):
            kind, _, body = client.read()
            kinds[kind] = body
        weir.expect(kinds[weir.PUBLISH].endswith(data), "another message")
        weir.expect(client.sock.frames < 40, "%d frames" % client.sock.frames)
        client.close()
    with tap.case("packets may share a frame, and come with the request"):
        ws = WebSocket(suite.ws_port)
        client = weir.Mqtt(0, "", sock=ws, connect=False)
        connect = client.connect_packet("joined", True, 60, None, None, None, b"")
        ws.sendall(connect + weir.packet(weir.PINGREQ) * 3)
        client.expect(weir.CONNACK)
        for _ in range(3):
            client.expect(weir.PINGRESP)
        client.close()
        sock = socket.create_connection(("127.0.0.1", suite.ws_port), 10)
        sock.sendall(request() + masked(BINARY, connect))
        status, fields, rest = head_of(sock)
        weir.expect(status == 101, status)
        while len(rest) < 6:
            rest += sock.recv(100)
        weir.expect(rest == b"\x82\x04\x20\x02\0\0", rest)
        sock.close()
    with tap.case(
        "the subprotocol is mqtt, or mqttv3.1 where that is asked for "
        "[MQTT-6.0.0-4] [MQTT3-6.0.0-4]"
    ):
        offered = (
            ("mqtt", "mqtt"),
            ("mqttv3.1", "mqttv3.1"),
            ("x, mqttv3.1, mqtt", "mqtt"),
        )
        for offer, chosen in offered:
            ws = WebSocket(suite.ws_port, Sec_WebSocket_Protocol=offer)
            got = ws.fields["sec-websocket-protocol"]
            weir.expect(got == chosen, got)
            ws.close()


def paho_clients(tap, suite):
    for level, version in ((paho.MQTTv311, "3.1.1"), (paho.MQTTv5, "5.0")):
        with tap.case("paho speaks MQTT %s by WebSocket, from several workers" % version):
            count, each = 6, 20
            clients, got = [], [[] for _ in range(count)]
            for i in range(count):
                client = paho.Client("paho-%d" % i, transport="websockets", protocol=level)
                client.ws_set_options(path="/mqtt")
                ready = threading.Event()
                client.on_subscribe = lambda *_, ready=ready: ready.set()
                client.on_message = lambda c, u, m, i=i: got[i].append(m.payload)
                client.connect("127.0.0.1", suite.ws_port)
                client.loop_start()
                client.subscribe("paho/#", 1)
                weir.expect(ready.wait(10), "no SUBACK")
                clients.append(client)
            for number in range(each):
                for i, client in enumerate(clients):
                    client.publish("paho/%d" % i, "%d" % number, number % 3)
            weir.wait_for(
                "each has all messages",
                lambda: all(len(list_) == count * each for list_ in got),
            )
            for client in clients:
                client.disconnect()
                client.loop_stop()


def goodbyes(tap, suite):
    with tap.case("after DISCONNECT the server closes with 1000"):
        client = suite.ws("polite")
        client.send(weir.packet(weir.DISCONNECT))
        weir.expect(client.sock.closed() == 1000, client.sock.status)
    with tap.case("a close frame is answered, and a will is sent"):
        watcher = suite.mqtt("watcher")
        watcher.subscribe("will/#", 1)
        client = suite.ws("doomed", will=("will/ws", "gone", 1, False))
        client.sock.raw(masked(CLOSE, struct.pack(">H", 1001)))
        weir.expect(client.sock.closed() == 1000, client.sock.status)
        weir.expect(watcher.receive().payload == b"gone", "no will")
        client = suite.ws("lost", will=("will/ws", "lost", 1, False))
        client.cut()
        weir.expect(watcher.receive().payload == b"lost", "no will")
        watcher.close()
    with tap.case("what comes right behind a CONNECT goes with it to its worker"):
        for i in range(8):
            for data, status in (
                (masked(CLOSE, b"\x03\xe8"), 1000),
                (masked(TEXT, b"text"), 1003),
            ):
                ws = WebSocket(suite.ws_port)
                client = weir.Mqtt(0, "", sock=ws, connect=False)
                name = "behind-%d" % i
                connect = client.connect_packet(name, True, 60, None, None, None, b"")
                ws.raw(masked(BINARY, connect) + data)
                weir.expect(ws.closed() == status, "%r, not %d" % (ws.status, status))
    with tap.case("a take-over is told before the close frame"):
        first = suite.ws("same", version=5)
        second = suite.ws("same", version=5)
        body = first.expect(weir.DISCONNECT)
        weir.expect(body[:1] == b"\x8e", body)
        weir.expect(first.sock.closed() == 1000, first.sock.status)
        second.ping()
        second.close()


def bad_frames(tap, suite):
    rows = (
        ("a text frame [MQTT-6.0.0-1] [MQTT3-6.0.0-1]", masked(TEXT, bytes(5)), 1003),
        ("a frame without mask", b"\x82\x02\xc0\x00", 1002),
        ("a reserved bit", b"\xc2\x80\0\0\0\0", 1002),
        ("an unknown opcode", b"\x83\x80\0\0\0\0", 1002),
        ("a ping of 126 bytes", masked(PING, b"x" * 126), 1002),
        ("a ping in parts", masked(PING, b"x", False), 1002),
        ("the rest of nothing", masked(REST, b"x"), 1002),
        ("half a status", masked(CLOSE, b"\x03"), 1002),
        ("a length below zero", b"\x82\xff" + b"\xff" * 8 + b"\0" * 4, 1002),
    )
    for name, data, status in rows:
        with tap.case("%s is answered by close %d" % (name, status)):
            before = suite.metric("connections_failed_total")
            client = suite.ws("bad")
            client.sock.raw(data)
            weir.expect(client.sock.closed() == status, client.sock.status)
            weir.expect(suite.metric("connections_failed_total") == before + 1, "not counted")
            suite.serves()
    with tap.case("the log says what was wrong"):
        text = "".join(suite.lines("connection_failed"))
        for word in ("a text frame", "not masked", "address=127.0.0.1:", "listener="):
            weir.expect(word in text, word + " is not in " + text[:2000])
    with tap.case("bad MQTT in good frames is MQTT's business"):
        client = suite.ws("worse", version=5)
        client.send(b"\x00\x00")
        body = client.expect(weir.DISCONNECT)
        weir.expect(body[:1] in (b"\x81", b"\x82"), body)
        weir.expect(client.sock.closed() == 1000, client.sock.status)


REQUESTS = (
    # what is wrong, the request, the status, a word of the text
    ("no upgrade", request(Upgrade=None), 426, "upgrade"),
    ("Connection: close", request(Connection="close"), 426, "upgrade"),
    ("version 8", request(Sec_WebSocket_Version="8"), 426, "13"),
    ("another path", request("/other"), 404, "path"),
    ("a POST", request().replace(b"GET", b"POST"), 405, "GET"),
    ("HTTP/1.0", request().replace(b"HTTP/1.1", b"HTTP/1.0"), 400, "HTTP/1.1"),
    ("no Host", request(Host=None), 400, "Host"),
    ("no key", request().replace(b"Sec-WebSocket-Key", b"X"), 400, "Key"),
    ("a short key", request(key="abcd"), 400, "base64"),
    (
        "no subprotocol [MQTT-6.0.0-3] [MQTT3-6.0.0-3]",
        request(Sec_WebSocket_Protocol=None),
        400,
        "mqtt",
    ),
    ("another subprotocol", request(Sec_WebSocket_Protocol="chat"), 400, "mqtt"),
    ("a body", request(Content_Length="3") + b"abc", 400, "body"),
    ("a head of 9 KiB", request(X="x" * 9000), 431, "8 KiB"),
    ("plain MQTT", weir.packet(weir.CONNECT, 0, b"\0\4MQTT\4\2\0\0\0\0"), 400, "MQTT"),
    ("TLS", b"\x16\x03\x01\x02\x00\x01", 400, "TLS"),
)


def ask(port, data):
    """(status, fields, text) of whatever is asked, and that it was all."""
    with socket.create_connection(("127.0.0.1", port), 10) as sock:
        sock.sendall(data)
        status, fields, text = head_of(sock)
        while len(text) < int(fields.get("content-length", 0)):
            text += sock.recv(4096)
        if status != 101:
            weir.expect(sock.recv(1) == b"", "the connection stays open")
    return status, fields, text.decode()


def bad_requests(tap, suite):
    for name, data, want, word in REQUESTS:
        with tap.case("%s is answered %d" % (name, want)):
            status, fields, text = ask(suite.ws_port, data)
            weir.expect(status == want, "%d: %s" % (status, text))
            weir.expect(word in text, "%r is not in %r" % (word, text))
            weir.expect("close" in fields["connection"], fields)
            weir.expect(status != 426 or fields["sec-websocket-version"] == "13", fields)
            weir.expect(status != 405 or fields["allow"] == "GET", fields)
            suite.serves()
    with tap.case("what was answered stands in the log, with the client's address"):
        text = "".join(suite.lines("connection_failed"))
        for status in (400, 404, 405, 426, 431):
            weir.expect("answered %d" % status in text, "no %d in %s" % (status, text[:999]))
        weir.expect("address=gone" not in text, text)
    with tap.case("pages of other origins are answered 403"):
        for origin, want in (
            (None, 101),
            ("https://good.example", 101),
            ("http://localhost:3000", 101),
            ("http://localhost:3001", 403),
            ("https://good.example.evil", 403),
            ("null", 403),
        ):
            status = ask(suite.origin_port, request("/live", Origin=origin))[0]
            weir.expect(status == want, "%s: %d" % (origin, status))
    with tap.case("a query behind the path is no fault"):
        status = ask(suite.ws_port, request("/mqtt?user=me"))[0]
        weir.expect(status == 101, status)


def over_tls(tap):
    with tempfile.TemporaryDirectory(prefix="weir-wss-") as folder:
        authority = certificates.Authority(folder)
        authority.make("server", "DNS:localhost,IP:127.0.0.1")
        tls = {"cert": authority.path("server.pem"), "key": authority.path("server.key")}
        context = ssl.create_default_context(cafile=authority.path("ca.pem"))
        with tap.case("over TLS, on all workers, and large both ways"):
            with Suite(workers=4, tls=tls) as suite:

                def dial():
                    sock = socket.create_connection(("127.0.0.1", suite.ws_port), 10)
                    sock = context.wrap_socket(sock, server_hostname="localhost")
                    return WebSocket(sock=sock)

                data = os.urandom(200000)
                for i in range(8):
                    client = weir.Mqtt(0, "wss-%d" % i, sock=dial())
                    client.subscribe("big", 1)
                    client.publish("big", data, 1, wait=False)
                    kinds = {}
                    for _ in range(2):
                        kind, _, body = client.read()
                        kinds[kind] = body
                    weir.expect(kinds[weir.PUBLISH].endswith(data), "another message")
                    client.sock.raw(masked(PING, b"?"))
                    client.ping()
                    weir.expect(client.sock.pongs == 1, "no pong")
                    client.close()
                # Plain WebSocket there is told so, by TLS.
                with socket.create_connection(("127.0.0.1", suite.ws_port), 10) as sock:
                    sock.sendall(request())
                    while sock.recv(4096):
                        pass
                weir.wait_for("a line", lambda: suite.lines("connection_failed"))


def hostile(tap):
    with tap.case("who sends half a request is closed at connect_timeout"):
        with Suite(connect_timeout="300ms", workers=2) as suite:
            half = [socket.create_connection(("127.0.0.1", suite.ws_port), 10)]
            for _ in range(100):
                half.append(socket.create_connection(("127.0.0.1", suite.ws_port), 10))
                half[-1].sendall(b"GET /mqtt HTTP/1.1\r\nHost: x\r\nX: ")
            # And who shakes hands and sends no CONNECT.
            half.append(WebSocket(suite.ws_port).sock)
            suite.serves()
            for sock in half:
                sock.settimeout(10)
                while sock.recv(4096):
                    pass
                sock.close()
            weir.expect(suite.metric("connect_timeouts_total") >= 101, "not counted")
            suite.serves()


def main():
    tap = weir.Tap()
    with tap.case("the suite ends in order"), Suite(workers=4) as suite:
        for group in (good_clients, goodbyes, bad_frames, bad_requests):
            tap.attempt(group, suite)
        if paho is None:
            tap.note("python3-paho-mqtt is not installed")
        else:
            tap.attempt(paho_clients, suite)
    tap.attempt(over_tls)
    tap.attempt(hostile)
    tap.done()


if __name__ == "__main__":
    main()
