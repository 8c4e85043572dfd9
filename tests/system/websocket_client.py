# SPDX-License-Identifier: Apache-2.0

"""websocket_client - a client's end of a WebSocket, rude if it is told to.

    ws = websocket_client.WebSocket(port)
    client = weir.Mqtt(port, "name", sock=ws)

A WebSocket is used like a socket: sendall() sends one binary frame, recv()
returns payload.  `pongs` and `status` (of the close frame) tell what else came.
"""

import base64
import hashlib
import os
import random
import socket
import struct

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
BINARY, TEXT, REST, CLOSE, PING, PONG = 2, 1, 0, 8, 9, 10


def request(path="/mqtt", key=None, **fields):
    """The opening request; a field given as None is left out."""
    rows = {
        "Host": "localhost",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": key or base64.b64encode(os.urandom(16)).decode(),
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Protocol": "mqtt",
    }
    rows.update({name.replace("_", "-"): value for name, value in fields.items()})
    lines = ["GET %s HTTP/1.1" % path]
    lines += ["%s: %s" % row for row in rows.items() if row[1] is not None]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def masked(opcode, payload, final=True):
    """A frame as a client sends it."""
    head = bytes([(0x80 if final else 0) | opcode])
    size = len(payload)
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 65536:
        head += b"\xfe" + struct.pack(">H", size)
    else:
        head += b"\xff" + struct.pack(">Q", size)
    mask = os.urandom(4)
    wide = (mask * (size // 4 + 1))[:size]
    number = int.from_bytes(payload, "big") ^ int.from_bytes(wide, "big")
    return head + mask + number.to_bytes(size, "big")


def cut(payload, dice):
    """The same payload in frames and parts of any size, pings in between."""
    out, at = b"", 0
    while at < len(payload):
        end = at + dice.randrange(1, min(len(payload) - at, 300) + 1)
        middle = dice.randrange(at, end + 1)
        out += masked(BINARY, payload[at:middle], False)
        out += masked(PING, b"still there?") + masked(REST, payload[middle:end])
        at = end
    return out


def head_of(sock):
    """(status, {field: value}, what is behind the head)."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(4096)
        if not more:
            raise EOFError("closed instead of an answer: %r" % data)
        data += more
    head, rest = data.split(b"\r\n\r\n", 1)
    lines = head.decode("latin-1").split("\r\n")
    rows = [line.partition(":") for line in lines[1:]]
    fields = {name.strip().lower(): value.strip() for name, _, value in rows}
    return int(lines[0].split()[1]), fields, rest


class WebSocket:
    def __init__(self, port=None, sock=None, seed=None, timeout=10, **fields):
        self.sock = sock or socket.create_connection(("127.0.0.1", port), timeout)
        self.sock.settimeout(timeout)
        self.dice = None if seed is None else random.Random(seed)
        self.pongs = 0
        self.frames = 0
        self.status = None
        self.payload = bytearray()
        key = base64.b64encode(os.urandom(16)).decode()
        self.sock.sendall(request(key=key, **fields))
        self.answer, self.fields, self.buffer = head_of(self.sock)
        if self.answer != 101:
            self.sock.close()
            raise OSError("answered %d" % self.answer)
        accept = base64.b64encode(hashlib.sha1(key.encode() + GUID).digest())
        if self.fields["sec-websocket-accept"] != accept.decode():
            raise AssertionError("a wrong Sec-WebSocket-Accept")

    def sendall(self, payload):
        if self.dice is None:
            self.raw(masked(BINARY, bytes(payload)))
        else:
            self.raw(cut(bytes(payload), self.dice))

    def raw(self, data):
        self.sock.sendall(data)

    def _more(self):
        data = self.sock.recv(262144)
        if not data:
            raise EOFError
        self.buffer += data

    def _frame(self):
        """Taken from the buffer when it is whole: a time-out loses nothing."""
        while True:
            size = self.buffer[1] if len(self.buffer) > 1 else 0
            at = {126: 4, 127: 10}.get(size, 2)
            if len(self.buffer) >= at:
                if at > 2:
                    size = int.from_bytes(self.buffer[2:at], "big")
                if len(self.buffer) >= at + size:
                    break
            self._more()
        first, payload = self.buffer[0], self.buffer[at : at + size]
        self.buffer = self.buffer[at + size :]
        return first, payload

    def recv(self, size):
        while not self.payload:
            if self.status is not None:
                return b""
            try:
                first, payload = self._frame()
            except EOFError:
                return b""
            if first & 0x70 or not first & 0x80:
                raise AssertionError("first byte %#x of a frame" % first)
            opcode = first & 15
            if opcode == BINARY:
                self.frames += 1
                self.payload += payload
            elif opcode == PONG:
                self.pongs += 1
            elif opcode == CLOSE:
                self.status = int.from_bytes(payload[:2], "big")
            else:
                raise AssertionError("opcode %d" % opcode)
        data = bytes(self.payload[:size])
        del self.payload[:size]
        return data

    def closed(self):
        """Read to the end; the status of the close frame, or None."""
        while self.recv(65536):
            pass
        return self.status

    def setsockopt(self, *arguments):
        if self.sock.family != socket.AF_UNIX:
            self.sock.setsockopt(*arguments)

    def settimeout(self, seconds):
        self.sock.settimeout(seconds)

    def close(self):
        self.sock.close()
