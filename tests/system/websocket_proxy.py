# SPDX-License-Identifier: Apache-2.0

"""websocket_proxy - MQTT over WebSocket in front of a broker that has none.

It cuts what it sends into frames of any size, in parts and with pings in
between, and insists on what a client must do: mask, the subprotocol, the path.
"""

import base64
import hashlib
import random
import socket
import struct
import threading

import weir

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def frame(opcode, payload, final=True):
    head = bytes([(0x80 if final else 0) | opcode])
    if len(payload) < 126:
        return head + bytes([len(payload)]) + payload
    if len(payload) < 65536:
        return head + b"\x7e" + struct.pack(">H", len(payload)) + payload
    return head + b"\x7f" + struct.pack(">Q", len(payload)) + payload


class WebSocketProxy:
    def __init__(self, mqtt_port, context=None, path="/mqtt", rude=None):
        self.mqtt_port = mqtt_port
        self.context = context
        self.path = path
        self.rude = rude  # bytes to send instead of the first frame
        self.pongs = 0
        self.faults = []
        self.open = []
        self.port = weir.free_port()
        self.listening = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for sock in [self.listening] + self.open:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()

    def accept(self):
        while True:
            try:
                sock, _ = self.listening.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock):
        try:
            if self.context is not None:
                sock = self.context.wrap_socket(sock, server_side=True)
            self.open.append(sock)
            self.talk(sock)
        except (OSError, EOFError):
            pass
        finally:
            sock.close()

    def handshake(self, sock):
        head = b""
        while b"\r\n\r\n" not in head:
            more = sock.recv(4096)
            if not more:
                raise EOFError
            head += more
        lines = head.decode().split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
        if lines[0] != "GET %s HTTP/1.1" % self.path:
            sock.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            raise EOFError
        if fields.get("sec-websocket-protocol") != "mqtt":
            self.faults.append("subprotocol")
        key = next(v for v in lines if v.lower().startswith("sec-websocket-key: "))
        key = key.split(": ", 1)[1].encode()
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
        sock.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Protocol: mqtt\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )

    def talk(self, sock):
        self.handshake(sock)
        if self.rude is not None:
            sock.sendall(self.rude)
        broker = socket.create_connection(("127.0.0.1", self.mqtt_port))
        self.open.append(broker)
        broker.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(
            target=self.from_broker, args=(broker, sock), daemon=True
        ).start()
        try:
            self.from_client(sock, broker)
        finally:
            broker.close()

    def from_broker(self, broker, sock):
        dice = random.Random(1)
        try:
            while True:
                data = broker.recv(65536)
                if not data:
                    sock.sendall(frame(8, struct.pack(">H", 1000)))
                    return
                while data:
                    first = dice.randrange(1, len(data) + 1)
                    part = dice.randrange(0, first + 1)
                    out = frame(2, data[:part], False) + frame(9, b"there?")
                    out += frame(0, data[part:first])
                    sock.sendall(out)
                    data = data[first:]
        except OSError:
            pass

    def exactly(self, sock, count):
        data = b""
        while len(data) < count:
            more = sock.recv(count - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def from_client(self, sock, broker):
        while True:
            first, second = self.exactly(sock, 2)
            length = second & 0x7F
            if length == 126:
                (length,) = struct.unpack(">H", self.exactly(sock, 2))
            elif length == 127:
                (length,) = struct.unpack(">Q", self.exactly(sock, 8))
            if not second & 0x80:
                self.faults.append("not masked")
            mask = self.exactly(sock, 4)
            data = self.exactly(sock, length)
            data = bytes(b ^ mask[i % 4] for i, b in enumerate(data))
            if first & 15 == 8:
                sock.sendall(frame(8, data))
                return
            if first & 15 == 10:
                self.pongs += data == b"there?"
            elif first == 0x82:
                broker.sendall(data)
            else:
                self.faults.append("a frame that begins with %#x" % first)
