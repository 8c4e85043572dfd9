# SPDX-License-Identifier: Apache-2.0

"""A remote that follows a script: what no real broker would do to a bridge."""

import socket
import struct
import threading
import time

import weir


def connack(code=0, session=False, properties=b"", version=5):
    body = bytes([1 if session else 0, code])
    if version == 5:
        body += weir.mqtt_length(len(properties)) + properties
    return weir.packet(weir.CONNACK, 0, body)


class Peer(weir.Mqtt):
    """One connection of a bridge, accepted; its CONNECT is read."""

    def __init__(self, sock):
        self.sock = sock
        self.buffer = bytearray()
        self.next_id = 0
        self.version = 5
        self.connect = None

    def read_connect(self):
        kind, _, body = self.read()
        weir.expect(kind == weir.CONNECT, "packet %d, not CONNECT" % kind)
        self.version = body[6] & 0x7F
        self.connect = body
        return self


class Remote:
    """Listens, and gives each connection to `script(peer, number)`.

    A script that ends leaves the connection to be closed; OSError, EOFError
    and assertions about what did not come end it too.
    """

    def __init__(self, script):
        self.script = script
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.count = 0
        self.times = []
        self.trouble = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.count += 1
            self.times.append(time.monotonic())
            threading.Thread(
                target=self._serve, args=(sock, self.count), daemon=True
            ).start()

    def _serve(self, sock, number):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.script(Peer(sock), number)
        except (OSError, EOFError):
            pass
        except AssertionError as error:
            self.trouble.append(str(error))
        finally:
            sock.close()

    def close(self):
        self.listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Book:
    """A well-behaved script that keeps what it is told."""

    def __init__(self, properties=b"", code=0):
        self.properties = properties
        self.code = code
        self.messages = []
        self.connects = []
        self.packets = []

    def __call__(self, peer, _number=0):
        peer.read_connect()
        self.connects.append(peer.connect)
        peer.send(connack(self.code, False, self.properties, peer.version))
        while True:
            self.answer(peer, *peer.read(timeout=60))

    def answer(self, peer, kind, flags, body):
        self.packets.append((kind, flags, body))
        if kind == weir.PUBLISH:
            message = weir.Message(flags, body, peer.version)
            self.messages.append(message)
            if message.qos:
                kind = weir.PUBACK if message.qos == 1 else weir.PUBREC
                peer.send(weir.packet(kind, 0, struct.pack(">H", message.id)))
        elif kind == weir.PUBREL:
            peer.send(weir.packet(weir.PUBCOMP, 0, body[:2]))
        elif kind == weir.SUBSCRIBE:
            count = self.count_filters(body, peer.version)
            answer = body[:2] + (b"\0" if peer.version == 5 else b"")
            peer.send(weir.packet(weir.SUBACK, 0, answer + b"\1" * count))
        elif kind == weir.PINGREQ:
            peer.send(weir.packet(weir.PINGRESP))
        elif kind == weir.DISCONNECT:
            raise EOFError("DISCONNECT")

    @staticmethod
    def count_filters(body, version):
        at, count = 2 + (1 if version == 5 else 0), 0
        while at < len(body):
            at += 2 + struct.unpack_from(">H", body, at)[0] + 1
            count += 1
        return count
