#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""Enhanced authentication: SCRAM-SHA-256 by CONNECT and AUTH packets."""

import base64
import hashlib
import hmac
import os
import signal
import subprocess

import weir
from mqtt_raw import Client, Will, auth, connect, publish
from weir import AUTH, CONNACK, PUBACK

METHOD = "SCRAM-SHA-256"


class Scram:
    """The client's side of one exchange."""

    def __init__(self, user, password, gs2="n,,"):
        self.password = password.encode()
        self.gs2 = gs2
        self.nonce = base64.b64encode(os.urandom(15)).decode()
        name = user.replace("=", "=3D").replace(",", "=2C")
        self.bare = "n=%s,r=%s" % (name, self.nonce)

    def first(self):
        return (self.gs2 + self.bare).encode()

    def final(self, server_first):
        text = server_first.decode()
        fields = dict(part.split("=", 1) for part in text.split(","))
        weir.expect(fields["r"].startswith(self.nonce), text)
        weir.expect(len(fields["r"]) >= len(self.nonce) + 20, text)
        salt, rounds = base64.b64decode(fields["s"]), int(fields["i"])
        weir.expect(len(salt) >= 16 and rounds >= 4096, text)
        salted = hashlib.pbkdf2_hmac("sha256", self.password, salt, rounds)
        key = hmac.digest(salted, b"Client Key", "sha256")
        bare = "c=%s,r=%s" % (
            base64.b64encode(self.gs2.encode()).decode(), fields["r"],
        )
        said = ",".join((self.bare, text, bare)).encode()
        stored = hashlib.sha256(key).digest()
        signature = hmac.digest(stored, said, "sha256")
        proof = bytes(a ^ b for a, b in zip(key, signature))
        server = hmac.digest(salted, b"Server Key", "sha256")
        self.server_final = b"v=" + base64.b64encode(
            hmac.digest(server, said, "sha256")
        )
        return (bare + ",p=" + base64.b64encode(proof).decode()).encode()


def props(data=None, method=METHOD, **more):
    if method is not None:
        more["authentication_method"] = method
    if data is not None:
        more["authentication_data"] = data
    return more


def challenged(suite, client_id, scram, more=None, **how):
    """A client whose CONNECT was answered by AUTH, and the challenge."""
    one = Client(suite.port, connect=False)
    one.send(connect(client_id, props=props(scram.first(), **(more or {})), **how))
    answer = one.expect(AUTH, reason=0x18)
    weir.expect(answer.props["authentication_method"] == METHOD, answer)
    return one, answer.props["authentication_data"]


def join(suite, client_id, user, password, gs2="n,,", more=None, **how):
    """A client that came in by SCRAM."""
    scram = Scram(user, password, gs2)
    one, challenge = challenged(suite, client_id, scram, more, **how)
    one.send(auth(0x18, props(scram.final(challenge))))
    one.connack = one.expect(CONNACK, reason=0)
    # [MQTT-4.12.0-5]
    weir.expect(one.connack.props["authentication_method"] == METHOD, "method")
    said = one.connack.props["authentication_data"]
    weir.expect(said == scram.server_final, "the server does not know it")
    return one


def refused(suite, data, reason=0x87, method=METHOD, **how):
    one = Client(suite.port, connect=False)
    one.send(connect("refused", props=props(data, method), **how))
    return one.closed(reason)


def succeeding(tap, suite):
    with tap.case("a client that knows the password comes in"):
        # [MQTT-4.12.0-2]
        one = join(suite, "one", "admin", "public")
        weir.expect(one.subscribe("a") == 0, "subscribed")
        one.publish("a", b"x")
        one.receive("a", b"x")
        one.end()
    with tap.case("with odd names, an authzid, or y in the header"):
        join(suite, "one", "odd,na=me", "s", "n,a=odd=2Cna=3Dme,").end()
        join(suite, "one", "admin", "public", "y,,").end()
    with tap.case("with a verifier from accounts_file"):
        join(suite, "one", "filed", "file secret").end()
    with tap.case("its User Name may say the same"):
        join(suite, "one", "admin", "public", username="admin").end()
    with tap.case("CONNECT is done as a whole: will, session, assigned id"):
        watch = Client(suite.port, "watch", username="admin", password="public")
        watch.subscribe("will", 1)
        one = join(
            suite, "durable", "admin", "public", clean=False,
            more={"session_expiry_interval": 1000},
            will=Will("will", b"gone", 1),
        )
        weir.expect(not one.connack.session_present, "a new session")
        one.subscribe("kept", 1)
        one.cut()
        watch.receive("will", b"gone")
        watch.publish("kept", b"1", 1)
        one = join(
            suite, "durable", "admin", "public", clean=False,
            more={"session_expiry_interval": 1000},
        )
        weir.expect(one.connack.session_present, "the session before")
        one.receive("kept", b"1")
        one.end(0, {"session_expiry_interval": 0})
        one = join(suite, "", "admin", "public")
        weir.expect("assigned_client_identifier" in one.connack.props, one.connack)
        one.end()
        watch.end()
    with tap.case("without a method there is none in CONNACK"):
        # [MQTT-4.12.0-6]
        one = Client(suite.port, "plain", username="admin", password="public")
        weir.expect("authentication_method" not in one.connack.props, one.connack)
        one.send(auth(0x19, props(Scram("admin", "public").first())))
        one.closed(0x82)


def failing(tap, suite):
    with tap.case("another method is 0x8C"):
        # [MQTT-4.12.0-1]
        for method in ("SCRAM-SHA-1", "SCRAM-SHA-256-PLUS", "PLAIN", ""):
            last = refused(suite, b"x", 0x8C, method)
            weir.expect(METHOD in last.props["reason_string"], last)
    with tap.case("what is no client-first-message is 0x87"):
        for data in (None, b"", b"n,,", b"\0\xff", b"p=tls-unique,,n=admin,r=x"):
            refused(suite, data)
        refused(suite, Scram("admin", "public", "n,a=filed,").first())
        refused(suite, Scram("admin", "public").first(), username="filed")
    with tap.case("a wrong password is 0x87, and so is an unknown name"):
        # [MQTT-4.12.0-4]
        for user in ("admin", "nobody", "hashed", "filed"):
            scram = Scram(user, "wrong")
            one, challenge = challenged(suite, "wrong", scram)
            one.send(auth(0x18, props(scram.final(challenge))))
            weir.expect(one.closed(0x87).props == {}, "it says nothing more")
    with tap.case("the challenge does not tell who there is"):
        def seen(user):
            out = []
            for _ in range(2):
                one, challenge = challenged(suite, "look", Scram(user, "x"))
                one.cut()
                out.append(challenge.decode().split(",")[1:])
            weir.expect(out[0] == out[1], "the salt is always the same")
            return out[0]

        shapes = set()
        salts = set()
        for user in ("admin", "nobody", "nobody2", "hashed", "filed"):
            salt, rounds = seen(user)
            shapes.add((len(salt), rounds))
            salts.add(salt)
        weir.expect(len(shapes) == 1 and len(salts) == 5, (shapes, salts))
    with tap.case("a wrong packet, reason, method or text in between"):
        scram = Scram("admin", "public")
        for packet, reason in (
            (auth(0x18, props(b"x", "PLAIN")), 0x8C),
            (auth(0x18, {}), 0x8C),
            # [MQTT-4.12.0-3] 0x18 alone may come, [MQTT-3.15.2-1] 0x87 never
            (auth(0x19, props(scram.first())), 0x82),
            (auth(0x00, props(b"x")), 0x82),
            (auth(0x87, props(b"x")), 0x82),
            (auth(0x18, props(b"")), 0x87),
            (auth(0x18, props()), 0x87),
            (auth(0x18, props(b"c=biws,r=x,p=x")), 0x87),
        ):
            one, _ = challenged(suite, "odd", scram)
            one.send(packet)
            one.closed(reason)
    with tap.case("nothing but AUTH and DISCONNECT is taken meanwhile"):
        # [MQTT-3.1.2-30]
        for packet in (
            publish("a", b"x"), connect("odd"), b"\xc0\0",
            b"\x82\x07\0\1\0\0\1a\0",
        ):
            one, _ = challenged(suite, "odd", Scram("admin", "public"))
            one.send(packet)
            one.closed()
        one, _ = challenged(suite, "odd", Scram("admin", "public"))
        one.end()
    with tap.case(
        "no AUTH above the Maximum Packet Size, and nothing that could be left out "
        "[MQTT-3.15.2-2] [MQTT-3.15.2-3] [MQTT-3.1.2-24]"
    ):
        for size, fits in ((30, False), (100, False), (300, True)):
            one = Client(suite.port, connect=False)
            scram = Scram("admin", "public")
            more = props(scram.first(), maximum_packet_size=size)
            one.send(connect("small", props=more))
            if not fits:
                one.closed(0x95)
                continue
            answer = one.expect(AUTH, reason=0x18)
            weir.expect(2 + len(answer.body) <= size, answer)
            weir.expect(set(answer.props) == set(props(b"")), answer)
            one.cut()
    with tap.case("the proof of one exchange is none in the next"):
        scram = Scram("admin", "public")
        one, challenge = challenged(suite, "again", scram)
        proof = auth(0x18, props(scram.final(challenge)))
        other, _ = challenged(suite, "again", scram)
        other.send(proof)
        other.closed(0x87)
        one.send(proof)
        one.connack = one.expect(CONNACK, reason=0)
        one.end()
    with tap.case("a CONNECT that asks too much is refused once it is known who"):
        limited = Scram("limited", "s")
        one, challenge = challenged(
            suite, "limited", limited, will=Will("other", b""),
        )
        one.send(auth(0x18, props(limited.final(challenge))))
        one.closed(0x87)
    with tap.case("one that never answers is closed at connect_timeout"):
        one, _ = challenged(suite, "slow", Scram("admin", "public"))
        one.closed(timeout=15)


def again(tap, suite):
    def ask(one, scram):
        one.send(auth(0x19, props(scram.first())))
        answer = one.expect(AUTH, reason=0x18)
        return answer.props["authentication_data"]

    with tap.case("a client proves itself once more, under traffic"):
        # [MQTT-4.12.1-1]
        one = join(suite, "again", "admin", "public")
        one.subscribe("flow", 0)
        for _ in range(2):
            scram = Scram("admin", "public")
            challenge = ask(one, scram)
            one.send(publish("flow", b"between", 1, 7))
            one.receive("flow", b"between")
            one.expect(PUBACK, id=7, reason=0)
            one.send(auth(0x18, props(scram.final(challenge))))
            answer = one.expect(AUTH, reason=0)
            weir.expect(
                answer.props["authentication_data"] == scram.server_final, answer
            )
            one.nothing()
        one.end()
    with tap.case("another method is 0x82, and none as well"):
        for given in (props(b"x", "PLAIN"), {}):
            one = join(suite, "again", "admin", "public")
            one.send(auth(0x19, given))
            one.closed(0x82)
    with tap.case("who fails is disconnected with 0x87"):
        # [MQTT-4.12.1-2]
        one = join(suite, "again", "admin", "public")
        scram = Scram("admin", "wrong")
        one.send(auth(0x18, props(scram.final(ask(one, scram)))))
        one.closed(0x87)
        one = join(suite, "again", "admin", "public")
        one.send(auth(0x19, props(b"rubbish")))
        one.closed(0x87)
    with tap.case("nobody becomes somebody else"):
        one = join(suite, "again", "admin", "public")
        scram = Scram("filed", "file secret")
        one.send(auth(0x18, props(scram.final(ask(one, scram)))))
        one.closed(0x87)
    with tap.case("AUTH out of turn is 0x82"):
        for packets in (
            [auth(0x18, props(b"x"))], [auth(0x00, props(b"x"))], [auth()],
        ):
            one = join(suite, "again", "admin", "public")
            one.send(*packets)
            one.closed(0x82)
        one = join(suite, "again", "admin", "public")
        ask(one, Scram("admin", "public"))
        one.send(auth(0x19, props(Scram("admin", "public").first())))
        one.closed(0x82)


def reload(tap, suite):
    with tap.case("a new password is in force at SIGHUP, for all ways"):
        stays = join(suite, "stays", "odd,na=me", "s")
        one = join(suite, "one", "admin", "public")
        late = Scram("admin", "public")
        between, challenge = challenged(suite, "between", late)
        suite.settings["accounts"][0]["password"] = "changed"
        with open(suite.config, "w") as f:
            f.write(weir.libconfig(suite.settings))
        os.kill(suite.pid("weir-broker"), signal.SIGHUP)
        one.closed(0x87)
        between.send(auth(0x18, props(late.final(challenge))))
        between.closed(0x87)
        join(suite, "one", "admin", "changed").end()
        stays.nothing()
        stays.end()


def too_often(tap):
    with weir.Weir(
        failed_logins={"per_second": 1, "burst": 3}, allow_anonymous=False,
        wait=False, http=None,
    ) as suite:
        weir.wait_for("it listens", lambda: suite.lines("listening"))
        stays = Client(suite.port, "stays", username="admin", password="public")
        with tap.case("after too many wrong credentials none are looked at"):
            def plain(password):
                return Client(
                    suite.port, "p", username="admin", password=password
                ).connack.reason

            def by_scram(password):
                one = Client(suite.port, connect=False)
                scram = Scram("admin", password)
                one.send(connect("s", props=props(scram.first())))
                answer = one.read()
                if answer.kind == AUTH:
                    data = answer.props["authentication_data"]
                    one.send(auth(0x18, props(scram.final(data))))
                    answer = one.read()
                one.cut()
                return answer.reason

            # The bucket fills by one a second meanwhile.
            refused = set()
            for _ in range(200):
                weir.expect(plain("wrong") in (0x86, 0x9F), "wrong")
                weir.expect(by_scram("wrong") in (0x87, 0x9F), "wrong")
                if plain("public") == 0x9F:
                    refused.add("plain")
                if by_scram("public") == 0x9F:
                    refused.add("scram")
                if len(refused) == 2:
                    break
            weir.expect(len(refused) == 2, refused)
            weir.wait_for("it is told", lambda: suite.lines("limit_reached"))
        with tap.case("who is in stays, and after a while all may again"):
            stays.nothing()
            weir.wait_for(
                "it may again",
                lambda: Client(
                    suite.port, "p", username="admin", password="public"
                ).connack.reason == 0,
            )


def accounts_file(suite_dir):
    """Two accounts: one with a verifier, one without."""
    path = os.path.join(suite_dir, "accounts")
    for name, password, more in (
        ("filed", "file secret", ["--scram"]), ("hashed", "h", []),
    ):
        subprocess.run(
            [weir.program("weirctl"), "passwd", "-f", path, *more, name],
            input=password + "\n", encoding="utf-8", check=True,
            stderr=subprocess.DEVNULL, timeout=30,
        )
    return path


def main():
    tap = weir.Tap(120)
    box = weir.Box()
    with weir.Weir(
        accounts_file=accounts_file(box.dir), connect_timeout="3s",
        failed_logins={"per_second": 0},
        allow_anonymous=False, wait=False, http=None,
        accounts=[
            {"name": "admin", "password": "public"},
            {"name": "odd,na=me", "password": "s"},
            {"name": "limited", "password": "s", "publish": []},
        ],
    ) as suite:
        weir.wait_for("it listens", lambda: suite.lines("listening"))
        succeeding(tap, suite)
        failing(tap, suite)
        again(tap, suite)
        reload(tap, suite)
    box.end()
    too_often(tap)
    tap.done()


if __name__ == "__main__":
    main()
