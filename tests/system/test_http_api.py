#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""weir-httpd from outside: statuses, accounts, framing, deadlines, limits."""

import base64
import json
import time

import weir

PUBLISH = "/api/v4/mqtt/publish"
BATCH = "/api/v4/mqtt/publish_batch"
PUBLISH_V5 = "/api/v5/publish"
BULK_V5 = "/api/v5/publish/bulk"


def message(**fields):
    return json.dumps(dict({"topic": "t/a", "payload": "hello", "qos": 1}, **fields))


def post(suite, body, path=PUBLISH, **more):
    status, headers, text = suite.http("POST", path, body, **more)
    try:
        return status, json.loads(text), headers
    except ValueError:
        raise AssertionError("%d with a body that is no JSON: %r" % (status, text))


def refused(suite, body, want, word=None, path=PUBLISH):
    """Refused with this status, and a message that has this word."""
    status, answer, _ = post(suite, body, path)
    weir.expect(status == want, "status %d, wanted %d: %r" % (status, want, answer))
    weir.expect(answer.get("code") not in (None, 0), "no code: %r" % answer)
    text = answer.get("message", "")
    weir.expect(text, "no message: %r" % answer)
    if word is not None:
        weir.expect(word in text, "%r is not in %r" % (word, text))


def publishing(tap, suite):
    with tap.case("a message reaches a subscriber and is answered 200, code 0"):
        sub = suite.mqtt("s1")
        sub.subscribe("t/#", 1)
        status, answer, _ = post(suite, message(payload="one"))
        weir.expect(status == 200 and answer["code"] == 0, (status, answer))
        got = sub.receive()
        weir.expect(got.topic == "t/a" and got.payload == b"one", got.payload)
        weir.expect(got.qos == 1 and not got.retain, "qos %d" % got.qos)

    with tap.case("a message that nobody wants is answered 200"):
        status, answer, _ = post(suite, message(topic="nobody/here"))
        weir.expect(status == 200 and answer["code"] == 0, (status, answer))

    with tap.case("a base64 payload arrives as its bytes"):
        data = bytes(range(256))
        text = base64.b64encode(data).decode()
        weir.expect(
            post(suite, message(payload=text, encoding="base64"))[0] == 200, "status"
        )
        weir.expect(sub.receive().payload == data, "other bytes")

    with tap.case("a payload of quotes, newlines and other scripts arrives"):
        text = 'a "quoted"\n\u00e9\u4e2d\U0001f600 text'
        post(suite, message(payload=text))
        weir.expect(sub.receive().payload == text.encode(), "other bytes")

    with tap.case("each of several topics gets the message"):
        body = json.dumps({"topics": "t/x,t/y", "payload": "p", "qos": 1})
        weir.expect(post(suite, body)[0] == 200, "status")
        weir.expect([sub.receive().topic for _ in "12"] == ["t/x", "t/y"], "topics")

    with tap.case("a retained message waits for later subscribers"):
        post(suite, message(topic="kept/a", payload="k", retain=True))
        late = suite.mqtt("s2")
        late.subscribe("kept/#", 1)
        got = late.receive()
        weir.expect(got.retain and got.payload == b"k", "not retained")
        late.close()

    with tap.case("a batch is answered 200 and arrives whole, in order"):
        body = "[" + ",".join(message(payload=str(i)) for i in range(20)) + "]"
        status, answer, _ = post(suite, body, BATCH)
        weir.expect(status == 200, (status, answer))
        got = [sub.receive().payload for _ in range(20)]
        weir.expect(got == [b"%d" % i for i in range(20)], got)

    with tap.case("a batch with a bad message is answered 207 with its code"):
        body = "[%s,%s]" % (message(payload="good"), message(topic="a/#"))
        status, answer, _ = post(suite, body, BATCH)
        weir.expect(status == 207, (status, answer))
        weir.expect(sub.receive().payload == b"good", "the good one")
        good, bad = answer["data"]
        weir.expect(good == {"topic": "t/a", "code": 0}, answer)
        weir.expect(bad["topic"] == "a/#" and bad["code"] == 115, answer)
        weir.expect("'#'" in bad["message"], answer)
    sub.close()


def publishing_v5(tap, suite):
    sub = suite.mqtt("s5", version=5)
    sub.subscribe("t/#", 1)
    ids = set()

    def take_id(answer):
        weir.expect(len(answer["id"]) == 32 and int(answer["id"], 16) >= 0, answer)
        weir.expect(answer["id"] not in ids, "%s twice" % answer["id"])
        ids.add(answer["id"])

    with tap.case("v5: a message is answered 200 with an id of its own"):
        for _ in range(50):
            status, answer, _ = post(suite, message(), PUBLISH_V5)
            weir.expect(status == 200 and list(answer) == ["id"], (status, answer))
            take_id(answer)
            weir.expect(sub.receive().payload == b"hello", "payload")

    with tap.case("v5: base64 is named payload_encoding"):
        text = base64.b64encode(b"\0\xff").decode()
        body = message(payload=text, payload_encoding="base64")
        weir.expect(post(suite, body, PUBLISH_V5)[0] == 200, "status")
        weir.expect(sub.receive().payload == b"\0\xff", "payload")

    with tap.case("v5: a message that nobody wants is 202 with reason code 16"):
        status, answer, _ = post(suite, message(topic="nobody/here"), PUBLISH_V5)
        weir.expect(status == 202 and answer["reason_code"] == 16, (status, answer))
        weir.expect(answer["message"] == "no_matching_subscribers", answer)
        take_id(answer)

    with tap.case("v5: bulk has a result for each message, in order"):
        body = "[" + ",".join(message(payload=str(i)) for i in range(20)) + "]"
        status, answer, _ = post(suite, body, BULK_V5)
        weir.expect(status == 200 and len(answer) == 20, (status, answer))
        for result in answer:
            take_id(result)
        got = [sub.receive().payload for _ in range(20)]
        weir.expect(got == [b"%d" % i for i in range(20)], got)

    with tap.case("v5: bulk is 202 when one of all has no subscriber"):
        body = "[%s,%s]" % (message(), message(topic="nobody/here"))
        status, answer, _ = post(suite, body, BULK_V5)
        weir.expect(status == 202, (status, answer))
        weir.expect("reason_code" not in answer[0], answer)
        weir.expect(answer[1]["reason_code"] == 16, answer)
        sub.receive()

    with tap.case("v5: bulk is 207 when one is refused, and says why"):
        body = "[%s,%s,%s,%s]" % (
            message(payload="1"),
            message(topic="a/#"),
            message(qos=7),
            message(payload="2"),
        )
        status, answer, _ = post(suite, body, BULK_V5)
        weir.expect(status == 207 and len(answer) == 4, (status, answer))
        take_id(answer[0])
        take_id(answer[3])
        weir.expect(answer[1]["code"] == 115 and "#" in answer[1]["message"], answer)
        weir.expect(answer[2]["code"] == 108 and "qos" in answer[2]["message"], answer)
        weir.expect([sub.receive().payload for _ in "12"] == [b"1", b"2"], "payloads")

    with tap.case("v5: mistakes are 400 and name the field"):
        refused(suite, message(topics="a,b"), 400, "topics", PUBLISH_V5)
        refused(suite, message(topic="a/+"), 400, "topic", PUBLISH_V5)
        refused(suite, "[]", 400, None, BULK_V5)
        refused(suite, message(), 400, "array", BULK_V5)
    sub.close()


def refusals(tap, suite):
    cases = [
        ("broken JSON is 400 with its place", '{"topic": "a",\n  "payload" 1}', "2"),
        ("a body that is no object is 400", '"text"', None),
        ("an empty body is 400", "", None),
        ("a missing topic is 400 and named", '{"payload": "x"}', "topic"),
        ("a topic of another type is 400", '{"topic":1,"payload":"x"}', "topic"),
        ("an empty topic is 400", message(topic=""), "topic"),
        ("a topic with # is 400", message(topic="a/#"), "topic"),
        ("a topic with + is 400", message(topic="a/+/b"), "topic"),
        ("qos 3 is 400 and named", message(qos=3), "qos"),
        ("a negative qos is 400", message(qos=-1), "qos"),
        ("qos as text is 400", message(qos="1"), "qos"),
        ("retain as text is 400", message(retain="yes"), "retain"),
        ("an unknown encoding is 400", message(encoding="rot13"), "encoding"),
        ("bad base64 is 400", message(payload="%%%", encoding="base64"), "base64"),
        ("a NUL in the topic is 400", message(topic="a\0b"), None),
    ]
    for name, body, word in cases:
        with tap.case(name):
            refused(suite, body, 400, word)

    with tap.case("an unknown path is 404"):
        refused(suite, message(), 404, path="/no/such")
    with tap.case("another method is 405 and Allow names the right one"):
        status, headers, _ = suite.http("GET", PUBLISH)
        weir.expect(status == 405, status)
        weir.expect("POST" in headers.get("allow", ""), headers)
    with tap.case("a body too large is 413"):
        status, _, _ = suite.http("POST", PUBLISH, message(payload="x" * (9 << 20)))
        # The server may close before it has read it all.
        weir.expect(status in (413, 0), status)
        http = weir.Http(suite.http_port)
        http.send(http.head("POST", PUBLISH, 1 << 30))
        weir.expect(http.response()[0] == 413, "by its length alone")
        http.close()


def accounts(tap, suite):
    for name, auth in (
        ("no account is 401 and asks for Basic", None),
        ("a wrong password is 401", "admin:wrong"),
        ("an unknown account is 401", "nobody:public"),
        ("an empty password is 401", "admin:"),
    ):
        with tap.case(name):
            status, headers, _ = suite.http("POST", PUBLISH, message(), auth=auth)
            weir.expect(status == 401, status)
            weir.expect("basic" in headers["www-authenticate"].lower(), headers)
    with tap.case("a broken Authorization header is 401"):
        http = weir.Http(suite.http_port, auth=None)
        for value in ("Basic", "Basic !!!", "Basic YWRtaW4=", "Digest x"):
            status, _, _ = http.request(
                "POST", PUBLISH, message(), {"Authorization": value}
            )
            weir.expect(status == 401, (value, status))
        http.close()
    with tap.case("healthz needs no account and says ok"):
        status, _, body = suite.http("GET", "/healthz", auth=None)
        weir.expect(status == 200 and body.strip() == "ok", (status, body))
    with tap.case("metrics are there for Prometheus"):
        status, headers, body = suite.http("GET", "/metrics", auth=None)
        weir.expect(status == 200, status)
        weir.expect(headers["content-type"].startswith("text/plain"), headers)
        samples = [x for x in body.splitlines() if x and not x.startswith("#")]
        weir.expect(samples, "no samples")
        for sample in samples:
            weir.expect(sample.startswith("weir_"), sample)
            float(sample.rpartition(" ")[2])


def framing(tap, suite):
    with tap.case("a connection serves many requests"):
        http = weir.Http(suite.http_port)
        for _ in range(200):
            weir.expect(http.request("POST", PUBLISH, message())[0] == 200, "status")
        http.close()

    with tap.case("pipelined requests are answered in their order"):
        http = weir.Http(suite.http_port)
        data = b""
        for i in range(50):
            good = i % 5 != 3
            body = message(topic="t/p" if good else "a/#").encode()
            data += http.head("POST", PUBLISH, len(body)) + body
        http.send(data)
        for i in range(50):
            want = 200 if i % 5 != 3 else 400
            weir.expect(http.response()[0] == want, "answer %d" % i)
        http.close()

    with tap.case("a request in single bytes is served"):
        http = weir.Http(suite.http_port)
        body = message().encode()
        for byte in http.head("POST", PUBLISH, len(body)) + body:
            http.send(bytes([byte]))
        weir.expect(http.response()[0] == 200, "status")
        http.close()

    with tap.case("a chunked body is served"):
        http = weir.Http(suite.http_port)
        body = message().encode()
        http.send(
            http.head("POST", PUBLISH, None, {"Transfer-Encoding": "chunked"})
            + b"".join(b"1\r\n%c\r\n" % byte for byte in body)
            + b"0\r\n\r\n"
        )
        weir.expect(http.response()[0] == 200, "status")
        http.close()

    with tap.case("Connection: close is obeyed"):
        http = weir.Http(suite.http_port)
        weir.expect(
            http.request("POST", PUBLISH, message(), {"Connection": "close"})[0] == 200,
            "status",
        )
        weir.expect(http.is_closed(5), "still open")

    smuggled = [
        ("two Content-Lengths", "Content-Length: 2\r\nContent-Length: 3"),
        (
            "Content-Length with Transfer-Encoding",
            "Content-Length: 2\r\nTransfer-Encoding: chunked",
        ),
        ("a negative length", "Content-Length: -1"),
        ("a length of no number", "Content-Length: 2x"),
    ]
    for what, lines in smuggled:
        with tap.case(what + " is 400 and closes"):
            http = weir.Http(suite.http_port)
            http.send(
                ("POST %s HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n{}" % (PUBLISH, lines))
                .encode()
            )
            weir.expect(http.response()[0] == 400, "status")
            weir.expect(http.is_closed(5), "still open")
    with tap.case("what is no HTTP is 400 or closed at once"):
        http = weir.Http(suite.http_port)
        http.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
        weir.expect(http.is_closed(5), "still open")
    with tap.case("a head without end is refused"):
        http = weir.Http(suite.http_port)
        try:
            http.send(b"GET / HTTP/1.1\r\n")
            for _ in range(3000):
                http.send(b"X-Long: " + b"y" * 1000 + b"\r\n")
        except OSError:
            pass
        weir.expect(http.is_closed(5), "still open")
    with tap.case("after all that it still serves"):
        weir.expect(suite.publish("t/a", "alive") == 200, "status")


def deadlines(tap):
    with weir.Weir(http={"header_timeout": "700ms", "body_timeout": "700ms"}) as suite:
        for name, first, drop in (
            ("a head that trickles in is cut off", b"GET /healthz HTT", b"P"),
            (
                "a body that trickles in is cut off",
                weir.Http(suite.http_port).head("POST", PUBLISH, 100000),
                b" ",
            ),
        ):
            with tap.case(name):
                http = weir.Http(suite.http_port)
                started = time.monotonic()
                http.send(first)
                closed = False
                while not closed and time.monotonic() < started + 10:
                    try:
                        http.send(drop)
                    except OSError:
                        closed = True
                        break
                    closed = http.is_closed(0.05)
                took = time.monotonic() - started
                weir.expect(closed, "still open")
                weir.expect(took > 0.5, "after %.2f s" % took)
        with tap.case("slow clients hold nobody up"):
            slow = [weir.Http(suite.http_port) for _ in range(50)]
            for http in slow:
                http.send(b"POST / HTTP/1.1\r\n")
            weir.expect(suite.publish("t/a", "quick") == 200, "status")
            for http in slow:
                http.close()


def limits(tap):
    with weir.Weir(http={"rate": {"per_second": 5, "burst": 5}}) as suite:
        with tap.case("beyond the rate it is 429 with Retry-After, and recovers"):
            seen = [post(suite, message())[::2] for _ in range(12)]
            statuses = [status for status, _ in seen]
            weir.expect(statuses[:5] == [200] * 5, statuses)
            weir.expect(429 in statuses, statuses)
            for status, headers in seen:
                if status == 429:
                    weir.expect(headers["retry-after"].isdigit(), headers)
            weir.wait_for(
                "it accepts again", lambda: suite.publish("t/a", "x") == 200, 5
            )


def broker_away(tap):
    with weir.Weir() as suite:
        with tap.case("while the broker is dead it is 503 with Retry-After"):
            broker = suite.pid("weir-broker")
            weir.kill(suite.child.pid, weir.signal.SIGSTOP)  # nobody restarts it
            weir.kill(broker, weir.signal.SIGKILL)
            try:
                weir.wait_for(
                    "healthz says 503",
                    lambda: suite.http("GET", "/healthz", auth=None)[0] == 503,
                )
                status, _, headers = post(suite, message())
                weir.expect(status == 503, status)
                weir.expect(headers["retry-after"].isdigit(), headers)
            finally:
                weir.kill(suite.child.pid, weir.signal.SIGCONT)
        with tap.case("when the broker is back, so is HTTP"):
            weir.wait_for(
                "publishing works", lambda: suite.publish("t/a", "x") == 200
            )


def main():
    tap = weir.Tap()
    with tap.case("the suite starts, and ends in order"):
        with weir.Weir() as suite:
            publishing(tap, suite)
            publishing_v5(tap, suite)
            refusals(tap, suite)
            accounts(tap, suite)
            framing(tap, suite)
    for group in (deadlines, limits, broker_away):
        with tap.case("%s: the suite starts, and ends in order" % group.__name__):
            group(tap)
    tap.done()


if __name__ == "__main__":
    main()
