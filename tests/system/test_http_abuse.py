#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""What nobody should send to weir-httpd: told so or cut off, in bounded time.

Each piece is sent by a connection of its own, with a second request behind it
that publishes to smuggled/#: where it is not known where a request ends,
nothing behind it may be taken for one.  After each the next client is served.
"""

import base64
import concurrent.futures
import json
import os
import resource
import socket
import time

import weir

PUBLISH = "/api/v4/mqtt/publish"
BATCH = "/api/v4/mqtt/publish_batch"
BASIC = base64.b64encode(b"admin:public").decode()
BODY = b'{"topic":"t/a","payload":"x","qos":1}'

# No test waits longer for an answer or the end; the server's own are 1 s.
PATIENCE_S = 10
DEADLINE_S = 1


def head(*lines, method="POST", target=PUBLISH, version="HTTP/1.1", host=True):
    """A request's head; `lines` are its header lines beside the usual."""
    out = ["%s %s %s" % (method, target, version)]
    if host:
        out.append("Host: localhost")
    out += ["Authorization: Basic " + BASIC, "Content-Type: application/json"]
    return ("\r\n".join(out + list(lines)) + "\r\n\r\n").encode("latin-1")


def request(body, *lines, **more):
    body = body if isinstance(body, bytes) else body.encode()
    return head("Content-Length: %d" % len(body), *lines, **more) + body


def publish_to(topic):
    return request(json.dumps({"topic": topic, "payload": "x", "qos": 1}))


SMUGGLED = publish_to("smuggled/x")


def talk(port, pieces, pause=0.0):
    """Send; all that came back until the server closed or all was quiet."""
    sock = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    came, is_closed = b"", False
    begun = time.monotonic()
    try:
        for piece in pieces:
            sock.sendall(piece)
            if pause:
                sock.settimeout(pause)
                try:
                    more = sock.recv(65536)
                    came += more
                    if not more:
                        is_closed = True
                        break
                except TimeoutError:
                    pass
    except OSError:
        pass  # it has closed already; its answer may be there still
    # Whoever keeps it open has answered all that it was asked by then.
    sock.settimeout(DEADLINE_S + 3)
    while not is_closed:
        try:
            more = sock.recv(65536)
        except TimeoutError:
            break
        except OSError:
            more = b""
        came += more
        is_closed = not more
    took = time.monotonic() - begun
    sock.close()
    return came, is_closed, took


def statuses(came):
    """The answers' statuses, each with its whole body."""
    found = []
    while came:
        top, separator, rest = came.partition(b"\r\n\r\n")
        weir.expect(separator and top.startswith(b"HTTP/1.1 "), "cut: %r" % came[:200])
        lines = top.decode("latin-1").split("\r\n")
        fields = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines[1:])
        }
        status = int(lines[0].split()[1])
        length = int(fields.get("content-length", 0))
        weir.expect(len(rest) >= length, "an answer that is cut off")
        if status >= 400:
            answer = json.loads(rest[:length])
            weir.expect(answer["code"] and answer["message"], answer)
        if status != 100:
            found.append(status)
        came = rest[length:]
    return found


class Abuse:
    """Cases are collected and then sent by several clients at a time."""

    def __init__(self, tap, suite):
        self.tap, self.suite, self.cases = tap, suite, []

    def next_client(self):
        weir.expect(self.suite.publish("t/next", "x") == 200, "the next client")

    def ends(self, name, data, *allowed):
        """One answer of these, or none, then the end; nothing behind it."""
        self.cases.append((name, data + SMUGGLED * 2, allowed, False))

    def refused(self, name, data, *allowed):
        """One answer of these; whether it stays open is the server's choice."""
        bye = head("Connection: close", method="GET", target="/healthz")
        self.cases.append((name, data + bye, allowed, True))

    def send(self, case):
        came, is_closed, _ = talk(self.suite.http_port, [case[1]])
        try:
            self.next_client()
        except (AssertionError, OSError) as error:
            return came, is_closed, error
        return came, is_closed, None

    def run(self):
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            results = list(pool.map(self.send, self.cases))
        for (name, _, allowed, may_go_on), result in zip(self.cases, results):
            with self.tap.case(name):
                came, is_closed, error = result
                got = statuses(came)
                if may_go_on:
                    weir.expect(got and got[0] in allowed, got)
                    weir.expect(got[1:] in ([200], []), got)
                else:
                    weir.expect(len(got) <= 1, "several answers: %r" % got)
                    weir.expect(not got or got[0] in allowed, got)
                weir.expect(is_closed, "it stays open after %r" % got)
                weir.expect(error is None, error)
        self.cases = []


def lengths(abuse):
    length = "Content-Length: %d" % len(BODY)
    chunked = "Transfer-Encoding: chunked"
    for name, lines in (
        ("two Content-Lengths", (length, length)),
        ("two that differ", (length, "Content-Length: 5")),
        ("a list of lengths", ("Content-Length: %d, %d" % (len(BODY), len(BODY)),)),
        ("a negative length", ("Content-Length: -1",)),
        ("a signed length", ("Content-Length: +%d" % len(BODY),)),
        ("a length in hex", ("Content-Length: 0x20",)),
        ("a length with text", ("Content-Length: 3x",)),
        ("an empty length", ("Content-Length:",)),
        ("a length beyond 64 bits", ("Content-Length: 18446744073709551617",)),
        ("length and coding", (length, chunked)),
        ("coding and length", (chunked, length)),
        ("chunked twice", (chunked, chunked)),
        ("a blank before the colon", ("Content-Length : %d" % len(BODY),)),
        ("a blank before a coding's colon", ("Transfer-Encoding : chunked", length)),
    ):
        abuse.ends(name, head(*lines) + BODY, 400, 413)
    for name, value in (
        ("TE: gzip", "gzip"),
        ("gzip under chunked", "gzip, chunked"),
        ("chunked that is not last", "chunked, identity"),
        ("an unknown coding", "xchunked"),
        ("a coding with a vertical tab", "\x0bchunked"),
    ):
        abuse.ends(name, head("Transfer-Encoding: " + value) + BODY, 400, 501)


def chunks(abuse):
    start = head("Transfer-Encoding: chunked")
    for name, body in (
        ("a chunk of 0x2", b"0x2\r\nab\r\n0\r\n\r\n"),
        ("a chunk of -2", b"-2\r\nab\r\n0\r\n\r\n"),
        ("a chunk of +2", b"+2\r\nab\r\n0\r\n\r\n"),
        ("a chunk of no size", b"\r\nab\r\n0\r\n\r\n"),
        ("a chunk of letters", b"zz\r\nab\r\n0\r\n\r\n"),
        ("a chunk beyond 64 bits", b"10000000000000002\r\nab\r\n0\r\n\r\n"),
        ("a chunk of all ones", b"ffffffffffffffff\r\nab\r\n0\r\n\r\n"),
        ("a chunk without its CRLF", b"2\r\nab0\r\n\r\n"),
        ("a chunk longer than it says", b"2\r\nabcd\r\n0\r\n\r\n"),
        ("a size that ends with LF", b"2\nab\r\n0\r\n\r\n"),
    ):
        abuse.ends(name, start + body, 400, 413)
    abuse.ends(
        "chunks beyond http.max_body",
        start + b"100000\r\n" + b"x" * 0x100000 + b"\r\n100000\r\n" + b"x" * 0x100000,
        *(400, 413),
    )
    abuse.ends(
        "trailers without an end",
        start + b"0\r\n" + b"X-A: b\r\n" * 100000,
        *(400, 431),
    )
    abuse.ends(
        "a chunk extension without an end",
        start + b"2;" + b"x" * 1000000,
        *(400, 413, 431),
    )


def heads(abuse):
    for name, data, allowed in (
        ("200,000 headers", head(*["X-%d: y" % i for i in range(200000)]), (431, 400)),
        ("a header line of 1 MB", head("X-A: " + "y" * 1000000), (431, 400)),
        ("a header name of 1 MB", head("y" * 1000000 + ": x"), (431, 400)),
        ("a target of 1 MB", head(target="/" + "a" * 1000000), (414, 400)),
        ("a method of 1 MB", head(method="P" * 1000000), (400, 501)),
        ("a folded header", head("X-A: b\r\n c", "Content-Length: 0"), (400,)),
        ("a folded length", head("Content-Length:\r\n 37") + BODY, (400,)),
        ("a coding in the next line", head("Transfer-Encoding:\r\n\tchunked") + BODY, (400,)),
        ("a header without a colon", head("nonsense"), (400,)),
        ("a header with an empty name", head(": x"), (400,)),
        ("a NUL in a header", head("X-A: b\0c"), (400,)),
        ("a bare CR in a header", head("X-A: b\rX-B: c"), (400,)),
        ("no Host", head("Content-Length: 0", host=False), (400,)),
        ("two Hosts", head("Host: other", "Content-Length: 0"), (400,)),
        ("HTTP/0.9", b"GET /healthz\r\n\r\n", (400, 505)),
        ("HTTP/3.0", head(version="HTTP/3.0"), (400, 505)),
        ("HTTP/1.10", head(version="HTTP/1.10"), (400, 505)),
        ("HTTP in small letters", head(version="http/1.1"), (400,)),
        ("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, 505)),
        ("a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500, (400,)),
        ("an MQTT CONNECT", b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00", (400,)),
        ("only zeros", b"\0" * 10000, (400,)),
        ("Expect that is not 100-continue", head("Expect: 200-ok", "Content-Length: 5"), (417,)),
        ("Expect garbage", head("Expect: " + "\x7f\x01" * 60, "Content-Length: 5"), (417, 400)),
    ):
        abuse.ends(name, data, *allowed)
    for name, data, allowed in (
        ("bare LF", b"GET /no/such HTTP/1.1\nHost: x\n\n", (400, 404)),
        ("an absolute target elsewhere", head("Content-Length: 0", target="http://evil/no"), (400, 404)),
        ("two blanks in the request line", head("Content-Length: 0", method="POST "), (400,)),
        ("an asterisk for a path", head("Content-Length: 0", method="GET", target="*"), (400, 404)),
        ("CONNECT", head("Content-Length: 0", method="CONNECT", target="localhost:80"), (400, 404, 405, 501)),
        ("an unknown method", head("Content-Length: 0", method="SPY"), (400, 405, 501)),
        ("TRACE", head("Content-Length: 0", method="TRACE"), (400, 405, 501)),
        ("dots in a path", head("Content-Length: 0", target="/../../etc/passwd"), (400, 404)),
        ("a NUL escape in a path", head("Content-Length: 0", target="/api%00"), (400, 404)),
        ("a broken escape in a path", head("Content-Length: 0", target="/%zz"), (400, 404)),
        ("Upgrade", head("Connection: Upgrade", "Upgrade: websocket", "Content-Length: 0"), (400, 404, 405)),
    ):
        abuse.refused(name, data, *allowed)


def bodies(abuse):
    deep = "[" * 100000 + "]" * 100000
    long_topic = "a/" * 40000

    def with_fields(text):
        return '{"topic":"t/a","payload":"x",%s}' % text

    for name, body in (
        ("deep arrays", deep),
        ("deep objects", '{"a":' * 100000 + "1" + "}" * 100000),
        ("deep properties", with_fields('"properties":' + deep)),
        ("bad UTF-8", b'{"topic":"t/\xff\xfe","payload":"x"}'),
        ("overlong UTF-8", b'{"topic":"t/\xc0\xaf","payload":"x"}'),
        ("a surrogate in UTF-8", b'{"topic":"t/\xed\xa0\x80","payload":"x"}'),
        ("half a surrogate escape", r'{"topic":"t/\ud800","payload":"x"}'),
        ("U+0000 in a topic", r'{"topic":"t/\u0000","payload":"x"}'),
        ("a NUL byte in a topic", b'{"topic":"t/\0","payload":"x"}'),
        ("a wildcard topic", '{"topic":"t/#","payload":"x"}'),
        ("a plus in a topic", '{"topic":"t/+/a","payload":"x"}'),
        ("an empty topic", '{"topic":"","payload":"x"}'),
        ("a topic of 80,000 bytes", '{"topic":"%s","payload":"x"}' % long_topic),
        ("a topic that is no text", '{"topic":["t"],"payload":"x"}'),
        ("a topic that is null", '{"topic":null,"payload":"x"}'),
        ("a payload that is a number", '{"topic":"t/a","payload":1}'),
        ("a payload that is an object", '{"topic":"t/a","payload":{}}'),
        ("bad base64", with_fields('"encoding":"base64"').replace('"x"', '"%%%"')),
        ("base64 that is cut", with_fields('"encoding":"base64"').replace('"x"', '"YWJ"')),
        ("qos 3", with_fields('"qos":3')),
        ("qos -1", with_fields('"qos":-1')),
        ("qos 7", with_fields('"qos":7')),
        ("qos as text", with_fields('"qos":"1"')),
        ("qos 1.5", with_fields('"qos":1.5')),
        ("qos 1e99", with_fields('"qos":1e99')),
        ("qos beyond 64 bits", with_fields('"qos":99999999999999999999')),
        ("retain as text", with_fields('"retain":"yes"')),
        ("the same key twice", '{"topic":"t/a","topic":"t/b","payload":"x"}'),
        ("something behind the object", BODY.decode() + "x"),
        ("two objects", BODY.decode() * 2),
        ("a cut object", BODY.decode()[:-2]),
        ("NaN", with_fields('"qos":NaN')),
        ("only blanks", " " * 1000),
        ("a byte order mark", b"\xef\xbb\xbf" + BODY),
    ):
        abuse.refused(name, request(body), 400, 413)
    abuse.refused(
        "a batch of 100,000 topics",
        request("[" + ",".join(['{"topic":"t","payload":""}'] * 60000) + "]", target=BATCH),
        *(400, 413, 207),
    )
    abuse.refused(
        "a compressed body", request(BODY, "Content-Encoding: gzip"), 415, 400
    )


def credentials(abuse):
    def with_basic(value):
        data = request(BODY)
        return data.replace(b"Basic " + BASIC.encode(), value)

    for name, value in (
        ("a NUL in a password", b"Basic " + base64.b64encode(b"admin:pub\0lic")),
        ("a NUL behind a password", b"Basic " + base64.b64encode(b"admin:public\0")),
        ("a NUL in a name", b"Basic " + base64.b64encode(b"admin\0:public")),
        ("no colon", b"Basic " + base64.b64encode(b"admin")),
        ("no base64", b"Basic %%%%"),
        ("an empty scheme", b" "),
        ("bad UTF-8 in a name", b"Basic " + base64.b64encode(b"\xff\xfe:x")),
        ("CR LF in a name", b"Basic " + base64.b64encode(b"a\r\nevent=forged:x")),
    ):
        abuse.refused(name, with_basic(value), 401, 400)
    abuse.ends("credentials of 64 KiB", with_basic(b"Basic " + b"A" * 65536), 431, 401, 400)


def slow(abuse):
    """At a byte now and then: the deadline does not move with each."""
    suite = abuse.suite
    body = head("Content-Length: 1000")
    for name, first, drop in (
        ("a head byte by byte", b"", b"P"),
        ("empty lines without an end", b"", b"\r\n"),
        ("header lines without an end", b"POST / HTTP/1.1\r\n", b"X: y\r\n"),
        ("a body byte by byte", body, b"x"),
        ("chunks byte by byte", head("Transfer-Encoding: chunked"), b"1\r\nx\r\n"),
        ("trailers line by line", head("Transfer-Encoding: chunked") + b"0\r\n", b"X: y\r\n"),
    ):
        with abuse.tap.case(name):
            came, is_closed, took = talk(
                suite.http_port, [first] + [drop] * 100, pause=0.1
            )
            got = statuses(came)
            weir.expect(is_closed, "open after %.1f s" % took)
            weir.expect(got in ([], [400], [408], [431]), got)
            abuse.next_client()
    with abuse.tap.case("half a request, and silence"):
        came, is_closed, _ = talk(suite.http_port, [b"POST /api"])
        weir.expect(is_closed and statuses(came) in ([], [408]), came)
        abuse.next_client()
    with abuse.tap.case("who does not read its answers holds up nobody"):
        sock = socket.create_connection(("127.0.0.1", suite.http_port), PATIENCE_S)
        sock.setblocking(False)
        ask = head("Content-Length: 0", method="GET", target="/metrics")
        for _ in range(2000):
            try:
                sock.send(ask)
            except BlockingIOError:
                break
        for _ in range(20):
            abuse.next_client()
        kib = weir.resident_kib(suite.pid("weir-httpd"))
        weir.expect(kib < 64 << 10, "%d KiB" % kib)
        sock.close()


def many(abuse):
    suite = abuse.suite
    with abuse.tap.case("1,000 pipelined requests have 1,000 answers in their order"):
        sock = socket.create_connection(("127.0.0.1", suite.http_port), PATIENCE_S)
        wanted, data = [], b""
        for number in range(1000):
            good = number % 7 != 3
            data += publish_to("t/%d" % number) if good else request("{}")
            wanted.append(200 if good else 400)
        data += head("Connection: close", method="GET", target="/no/such")
        sock.sendall(data)
        came = b""
        while True:
            more = sock.recv(65536)
            if not more:
                break
            came += more
        got = statuses(came)
        weir.expect(got == wanted + [404], "%d answers" % len(got))
        abuse.next_client()
    with abuse.tap.case("1,000 connections that say nothing are let go"):
        idle = [socket.create_connection(("127.0.0.1", suite.http_port)) for _ in range(900)]
        abuse.next_client()
        for sock in idle:
            sock.settimeout(PATIENCE_S)
            weir.expect(sock.recv(4096)[:12] in (b"", b"HTTP/1.1 408"), "an answer")
            sock.close()
        abuse.next_client()


def processor_s(pid):
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def descriptors(tap, suite):
    httpd = suite.pid("weir-httpd")
    with tap.case("without descriptors it closes connections, and does not spin"):
        limits = resource.prlimit(httpd, resource.RLIMIT_NOFILE)
        resource.prlimit(httpd, resource.RLIMIT_NOFILE, (64, limits[1]))
        crowd = [
            socket.create_connection(("127.0.0.1", suite.http_port), PATIENCE_S)
            for _ in range(200)
        ]
        used = processor_s(httpd)
        time.sleep(0.5)
        used = processor_s(httpd) - used
        weir.expect(used < 0.3, "%.2f s of 0.5 s" % used)
        for sock in crowd:
            sock.close()
        resource.prlimit(httpd, resource.RLIMIT_NOFILE, limits)
        weir.wait_for("it serves again", lambda: suite.publish("t/a", "x") == 200)
    with tap.case("it says at its start when max_connections needs more of them"):
        limit = "ulimit -n 100 && exec %s -c %s"
        argv = ["sh", "-c", limit % (weir.program("weir-httpd"), suite.config)]
        log = os.path.join(suite.box.dir, "short-log")
        with open(log, "ab") as out:
            child = suite.box.spawn(argv, out)
        child.wait(PATIENCE_S)  # the address is in use
        with open(log) as file:
            text = file.read()
        weir.expect("event=descriptors_short allowed=100 needed=" in text, text)


def main():
    tap = weir.Tap()
    timeouts = ("header_timeout", "body_timeout", "idle_timeout")
    http = {key: "%ds" % DEADLINE_S for key in timeouts}
    http["max_body"] = "1MiB"
    with weir.Weir(http=http) as suite:
        sub = suite.mqtt("witness")
        sub.subscribe("smuggled/#", 0)
        httpd = suite.pid("weir-httpd")
        abuse = Abuse(tap, suite)
        for part in (lengths, chunks, heads, bodies, credentials, slow, many):
            part(abuse)
            abuse.run()
        descriptors(tap, suite)
        with tap.case("nothing that was behind them was taken for a request"):
            weir.expect(sub.is_silent(0.5), "it was published")
        with tap.case("it has survived all of it, and never said 5xx for it"):
            weir.expect(suite.pid("weir-httpd") == httpd, "another process")
            text = suite.http("GET", "/metrics", auth=None)[2]
            for line in text.splitlines():
                if line.startswith("weir_httpd_responses_50"):
                    weir.expect(line.endswith(" 0"), line)
        with tap.case("nobody can write lines into the log"):
            weir.expect(not suite.lines("forged"), suite.lines("forged"))
    tap.done()


if __name__ == "__main__":
    main()
