#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""Who may what by HTTP: accounts, keys, tokens, scopes, topics, and a reload."""

import base64
import hashlib
import hmac
import json
import os
import signal
import subprocess
import time

import weir

PUBLISH = "/api/v4/mqtt/publish"
BATCH = "/api/v4/mqtt/publish_batch"
SECRET = "s3cret-of-sixteen-bytes"

ACCOUNTS = [
    {"name": "admin", "password": "public"},
    {"name": "plant", "password": "p", "publish": ["plant/#", "line/+/1"]},
    {"name": "viewer", "password": "v", "scopes": ["read"]},
    {"name": "nothing", "password": "n", "publish": []},
]


def keys(secret_file):
    return [
        {"name": "ci", "secret_file": secret_file, "publish": ["ci/#"]},
        {"name": "boss", "secret": SECRET, "scopes": "publish read manage"},
    ]


def message(topic):
    return json.dumps({"topic": topic, "payload": "x", "qos": 1})


def publish(suite, auth, topic):
    status, _, text = suite.http("POST", PUBLISH, message(topic), auth=auth)
    return status, json.loads(text)


def expect_status(suite, auth, topic, want, word=""):
    status, answer = publish(suite, auth, topic)
    weir.expect(status == want, "%s to %s: %d %r" % (auth, topic, status, answer))
    weir.expect(word in answer.get("message", ""), answer)


def reload(suite, **changes):
    """Write another configuration and let the broker read it."""
    suite.settings.update(changes)
    before = len(suite.lines("reloaded"))
    with open(suite.config, "w") as f:
        f.write(weir.libconfig(suite.settings))
    os.kill(suite.pid("weir-broker"), signal.SIGHUP)
    weir.wait_for("the reload", lambda: len(suite.lines("reloaded")) > before)


def publishing(tap, suite):
    with tap.case("an account publishes where its filters say"):
        for topic, want in (
            ("plant/1", 200),
            ("plant", 200),
            ("line/7/1", 200),
            ("line/7/2", 403),
            ("other", 403),
        ):
            expect_status(suite, "plant:p", topic, want)
        expect_status(suite, "plant:p", "other", 403, "filters")
        expect_status(suite, "admin:public", "other", 200)
    with tap.case("an account without filters publishes nowhere"):
        expect_status(suite, "nothing:n", "a", 403, "filters")
    with tap.case("an account without the scope publish is told so"):
        expect_status(suite, "viewer:v", "a", 403, 'scope "publish"')
    with tap.case("nobody publishes to $SYS by the default filter"):
        expect_status(suite, "admin:public", "$SYS/broker/uptime", 403, "filters")
    with tap.case("what is refused reaches nobody, and a batch says which"):
        sub = suite.mqtt("reader")
        sub.subscribe("#", 1)
        body = "[%s,%s]" % (message("no/way"), message("plant/yes"))
        status, _, text = suite.http("POST", BATCH, body, auth="plant:p")
        codes = [one["code"] for one in json.loads(text)["data"]]
        weir.expect(status == 207 and codes == [403, 0], (status, text))
        weir.expect(sub.receive().topic == "plant/yes", "the other one")
        sub.close()


def using_keys(tap, suite):
    with tap.case("a key publishes by Basic authentication"):
        expect_status(suite, "ci:" + SECRET, "ci/1", 200)
        expect_status(suite, "ci:" + SECRET, "a", 403)
        expect_status(suite, "boss:" + SECRET, "a", 200)
    with tap.case("a key with another secret is 401"):
        expect_status(suite, "ci:" + SECRET + "x", "ci/1", 401)
        expect_status(suite, "ci:", "ci/1", 401)
    with tap.case("a key does not open MQTT"):
        client = suite.mqtt("k", username="boss", password=SECRET)
        weir.expect(client.return_code != 0, "it was let in")
        client.close()


def others(name):
    return [account for account in ACCOUNTS if account["name"] != name]


def reloading(tap, suite):
    stays = suite.mqtt("stays", username="admin", password="public")
    anonymous = suite.mqtt("anonymous")
    new = suite.mqtt("new", version=5, username="plant", password="p")
    old = suite.mqtt("old", username="plant", password="p", clean=False)
    old.subscribe("kept/#", 1)

    with tap.case("other scopes hold from the next request on"):
        expect_status(suite, "viewer:v", "a", 403)
        changed = dict(ACCOUNTS[2], scopes=["read", "publish"])
        reload(suite, accounts=others("viewer") + [changed])
        expect_status(suite, "viewer:v", "a", 200)
        reload(suite, accounts=ACCOUNTS)
        expect_status(suite, "viewer:v", "a", 403)
    with tap.case("a key that is gone is 401 at once, the other is not"):
        http = dict(suite.settings["http"])
        with_all = http["keys"]
        reload(suite, http=dict(http, keys=with_all[1:]))
        expect_status(suite, "ci:" + SECRET, "ci/1", 401)
        expect_status(suite, "boss:" + SECRET, "a", 200)
        reload(suite, http=dict(http, keys=with_all))
        weir.wait_for(
            "the key is good again",
            lambda: publish(suite, "ci:" + SECRET, "ci/1")[0] == 200,
        )
    with tap.case("nobody is disconnected whose account stays"):
        for client in (stays, new, old, anonymous):
            client.ping()
    with tap.case("with its account an MQTT 5.0 client goes by 0x87, Not authorized"):
        reload(suite, accounts=others("plant"))
        kind, _, body = new.read()
        weir.expect(kind == weir.DISCONNECT and body[0] == 0x87, (kind, body))
        weir.expect(new.is_closed(), "not closed")
    with tap.case("a client of MQTT 3.1.1 is closed; others stay"):
        weir.expect(old.is_closed(), "not closed")
        stays.ping()
        anonymous.ping()
        expect_status(suite, "plant:p", "plant/1", 401)
        denied = suite.mqtt("old", username="plant", password="p", clean=False)
        weir.expect(denied.return_code != 0, "it was let in")
        denied.close()
    with tap.case("another password: the session is its owner's still"):
        stays.publish("kept/1", "while it was away", 1)
        changed = dict(ACCOUNTS[1], password="q")
        reload(suite, accounts=others("plant") + [changed])
        other = suite.mqtt("old", username="admin", password="public", clean=False)
        weir.expect(other.return_code != 0, "another account has the session")
        other.close()
        back = suite.mqtt("old", username="plant", password="q", clean=False)
        weir.expect(back.return_code == 0, "refused: %d" % back.return_code)
        weir.expect(back.session_present, "the session is gone")
        weir.expect(back.receive().topic == "kept/1", "its message")
        back.close()
        expect_status(suite, "plant:q", "plant/1", 200)
        expect_status(suite, "plant:p", "plant/1", 401)
    with tap.case("a configuration with a mistake leaves the accounts alone"):
        before = len(suite.lines("reload_refused"))
        with open(suite.config, "w") as f:
            f.write(weir.libconfig(dict(suite.settings, accounts=ACCOUNTS * 2)))
        os.kill(suite.pid("weir-broker"), signal.SIGHUP)
        weir.wait_for(
            "the refusal", lambda: len(suite.lines("reload_refused")) > before
        )
        expect_status(suite, "plant:q", "plant/1", 200)
    for client in (stays, anonymous):
        client.close()


# ---------------------------------------------------------------- tokens

HS_SECRET = "an HS256 secret that has more than 32 bytes"


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def openssl(*arguments, data=None):
    done = subprocess.run(
        ["openssl", *arguments], input=data, capture_output=True, check=True
    )
    return done.stdout


def der_integers(der):
    """The two integers of an ECDSA signature, 32 bytes each."""
    values, at = b"", 2
    for _ in "rs":
        length = der[at + 1]
        number = int.from_bytes(der[at + 2 : at + 2 + length], "big")
        values += number.to_bytes(32, "big")
        at += 2 + length
    return values


class Issuer:
    """Keys of all three algorithms in a folder, and tokens signed with them."""

    def __init__(self, folder):
        self.folder = folder
        self.private = {"RS256": self.path("rsa"), "ES256": self.path("ec")}
        rsa = ("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
        curve = ("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
        openssl(*rsa, "-out", self.private["RS256"])
        openssl(*curve, "-out", self.private["ES256"])
        for algorithm, key in self.private.items():
            openssl("pkey", "-in", key, "-pubout", "-out", self.path(algorithm))
        self.write_secret(HS_SECRET)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write_secret(self, secret):
        with open(self.path("HS256"), "w") as f:
            f.write(secret + "\n")
        os.chmod(self.path("HS256"), 0o600)

    def rules(self):
        return [
            {"algorithm": "HS256", "key_file": self.path("HS256")},
            {
                "algorithm": "RS256",
                "key_file": self.path("RS256"),
                "audience": "weir",
                "issuer": "https://id.example",
            },
            {
                "algorithm": "ES256",
                "key_file": self.path("ES256"),
                "account_claim": "client",
                "account": "viewer",
            },
        ]

    def sign(self, algorithm, data):
        if algorithm == "HS256":
            return hmac.new(HS_SECRET.encode(), data, hashlib.sha256).digest()
        key = self.private[algorithm]
        signature = openssl("dgst", "-sha256", "-sign", key, data=data)
        return der_integers(signature) if algorithm == "ES256" else signature

    def token(self, algorithm="HS256", seconds=600, header=None, **claims):
        claims.setdefault("exp", time.time() + seconds)
        head = header or {"alg": algorithm, "typ": "JWT"}
        signed = "%s.%s" % (
            b64(json.dumps(head).encode()),
            b64(json.dumps(claims).encode()),
        )
        return signed + "." + b64(self.sign(algorithm, signed.encode()))


def bearer(suite, token, topic="a", method="POST", path=PUBLISH):
    """(status, the WWW-Authenticate lines, the body as text)"""
    http = weir.Http(suite.http_port, auth=None)
    body = message(topic).encode() if method == "POST" else None
    head = http.head(
        method,
        path,
        None if body is None else len(body),
        {"Authorization": "Bearer " + token},
    )
    http.send(head + (body or b""))
    while b"\r\n\r\n" not in http.buffer:
        http._more()
    lines = http.buffer.split(b"\r\n\r\n")[0].decode().split("\r\n")
    status, _, text = http.response()
    http.close()
    return status, [x for x in lines if x.startswith("WWW-Authenticate")], text


def expect_token(suite, token, want, topic="a", word=""):
    status, challenge, text = bearer(suite, token, topic)
    weir.expect(status == want, "status %d: %s" % (status, text))
    weir.expect(word in text, text)
    if want != 401:
        return
    weir.expect("Bearer" in challenge[0] and "Basic" in challenge[1], challenge)
    weir.expect('error="invalid_token"' in challenge[0], challenge)
    weir.expect(word in challenge[0], challenge)


def tokens(tap, suite, issuer):
    ours = {"aud": ["other", "weir"], "iss": "https://id.example"}
    for algorithm, claims in (
        ("HS256", {"sub": "admin"}),
        ("RS256", dict(ours, sub="admin")),
        ("ES256", {"client": "admin"}),
    ):
        with tap.case("a token signed with %s publishes" % algorithm):
            token = issuer.token(algorithm, **claims)
            for _ in "123":
                expect_token(suite, token, 200)
        with tap.case("%s: another signature is 401" % algorithm):
            head, _, signature = token.rpartition(".")
            other = ("B" if signature[0] == "A" else "A") + signature[1:]
            expect_token(suite, head + "." + other, 401, word="signature")

    with tap.case("what is wrong with a token is said"):
        for token, word in (
            (issuer.token(sub="admin", seconds=-1), "expired"),
            (issuer.token(sub="admin", nbf=time.time() + 60), "not valid yet"),
            (issuer.token(sub="admin", exp=None), "no exp"),
            (issuer.token(sub="admin", aud="weir"), "audience"),
            (issuer.token("RS256", sub="admin", aud="weir"), "issuer"),
            (issuer.token("RS256", **dict(ours, aud="x", sub="admin")), "audience"),
            (issuer.token(sub="nobody"), "names no account"),
            (issuer.token(sub="ci"), "names no account"),
            (issuer.token(), "names no account"),
            (issuer.token(sub="admin", header={"alg": "none"}), "signed in a way"),
            (issuer.token(sub="admin", header={"alg": "RS256"}), "signature"),
            (
                issuer.token(sub="admin", header={"alg": "HS256", "crit": ["x"]}),
                "crit",
            ),
            ("not.a.token", "no JSON Web Token"),
        ):
            expect_token(suite, token, 401, word=word)
    with tap.case("a token that names no account has the rule's"):
        token = issuer.token("ES256", client="whoever")
        expect_token(suite, token, 403, word='scope \\"publish\\"')

    with tap.case("a token's account and filters hold"):
        token = issuer.token(sub="plant")
        expect_token(suite, token, 200, topic="plant/1")
        expect_token(suite, token, 403, topic="other", word="filters")
    with tap.case("a token's scope narrows the account's"):
        expect_token(suite, issuer.token(sub="admin", scope="x publish"), 200)
        token = issuer.token(sub="admin", scope="read")
        expect_token(suite, token, 403, word='scope \\"publish\\"')
        expect_token(suite, issuer.token(sub="admin", scope=""), 403)
        # ... and never widens them.
        token = issuer.token(sub="viewer", scope="publish")
        expect_token(suite, token, 403)

    with tap.case("a token stops working within a second of its end"):
        token = issuer.token(sub="admin", seconds=1.5)
        end = time.time() + 1.5
        expect_token(suite, token, 200)
        weir.wait_for("the end", lambda: bearer(suite, token)[0] == 401, 10)
        weir.expect(time.time() >= end, "too early")
        weir.expect(time.time() < end + 1, "too late")
        expect_token(suite, token, 401, word="expired")

    with tap.case("a token of 8 KiB is taken, a longer one is not"):
        claims = {"sub": "admin", "pad": ""}
        while len(issuer.token(**claims)) < 8100:
            claims["pad"] += "x" * 40
        expect_token(suite, issuer.token(**claims), 200)
        claims["pad"] += "x" * 90
        weir.expect(len(issuer.token(**claims)) > 8192, "not longer")
        weir.expect(bearer(suite, issuer.token(**claims))[0] == 401, "taken")
        weir.expect(bearer(suite, "x" * 65536)[0] == 431, "64 KiB")
        weir.expect(bearer(suite, "")[0] == 401, "no token")

    with tap.case("tokens are good over the broker's death"):
        token = issuer.token(sub="admin", scope="publish")
        expect_token(suite, token, 200)
        weir.kill(suite.pid("weir-broker"), signal.SIGKILL)
        weir.wait_for("it is back", lambda: bearer(suite, token)[0] == 200)

    with tap.case("another key is taken by a reload, the old one is not"):
        token = issuer.token(sub="admin")
        expect_token(suite, token, 200)
        issuer.write_secret("another secret, of more than 32 bytes, too")
        reload(suite)
        os.kill(suite.pid("weir-httpd"), signal.SIGHUP)
        weir.wait_for("the new key", lambda: bearer(suite, token)[0] == 401)
        issuer.write_secret(HS_SECRET)
        reload(suite)
        weir.wait_for("the key", lambda: bearer(suite, token)[0] == 200)

    with tap.case("a key that cannot be used leaves the former one"):
        issuer.write_secret("short")
        reload(suite)
        weir.expect(suite.lines("token_key_refused"), "not said")
        expect_token(suite, issuer.token(sub="admin"), 200)
        issuer.write_secret(HS_SECRET)


# ---------------------------------------------------------------- routes


def routes(tap, suite, issuer):
    read = issuer.token(sub="admin", scope="read")
    manage = issuer.token(sub="admin", scope="manage")
    with tap.case("reading takes the scope read"):
        for path in ("/api/v4/clients", "/api/v4/brokers", "/api/v4/metrics"):
            status, _, text = bearer(suite, read, method="GET", path=path)
            weir.expect(status == 200, (path, status, text))
            status, _, text = bearer(suite, manage, method="GET", path=path)
            weir.expect(status == 403 and "read" in text, (path, status, text))
    with tap.case("changing takes the scope manage"):
        path = "/api/v4/clients/no-such-client"
        status, _, text = bearer(suite, manage, method="DELETE", path=path)
        weir.expect(status == 404, (status, text))
        status, _, text = bearer(suite, read, method="DELETE", path=path)
        weir.expect(status == 403 and "manage" in text, (status, text))


# --------------------------------------------------------------- guessing


def credentials(tap, suite):
    def status_of(value):
        http = weir.Http(suite.http_port, auth=None)
        answer = http.request(
            "POST", PUBLISH, message("a"), {"Authorization": value}
        )
        http.close()
        return answer[0]

    def basic(data):
        return "Basic " + base64.b64encode(data).decode()

    with tap.case("credentials that cannot be right are 4xx"):
        for value in (
            basic(b"admin"),
            basic(b"admin:pub\0lic"),
            basic(b"admin\0:public"),
            basic(b"\xff\xfe:public"),
            basic(b"a" * 300 + b":x"),
            basic(b"admin:" + b"x" * 1100),
            "Basic YWRtaW46cHVibGlj=",
            "Basic YWRtaW46cHVibGljA",
            "Basic \x01",
            "Negotiate abc",
            "Basic",
        ):
            weir.expect(400 <= status_of(value) < 500, (value, status_of(value)))
        weir.expect(status_of(basic(b"admin:" + b"x" * 65536)) == 431, "64 KiB")
        weir.expect(status_of(basic(b"admin:public")) == 200, "the next one")


def run_passwd(path, *arguments, password=None):
    return subprocess.run(
        [weir.program("weirctl"), "passwd", "-f", path, *arguments],
        input=password and password + "\n",
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )


def passwd(path, *arguments, password=None):
    done = run_passwd(path, *arguments, password=password)
    weir.expect(done.returncode == 0, done.stderr)


def files(tap, folder):
    path = os.path.join(folder, "accounts")
    passwd(path, "ann", password="one")
    passwd(path, "-s", "read", "bob", password="two")
    limit = {"per_second": 0}
    with weir.Weir(
        accounts=None, accounts_file=path, http={"failed_logins": limit}
    ) as suite:
        with tap.case("accounts made by weirctl passwd are taken"):
            expect_status(suite, "ann:one", "a", 200)
            expect_status(suite, "ann:two", "a", 401)
            expect_status(suite, "bob:two", "a", 403, 'scope "publish"')
        with tap.case("a changed password and a removed account, at a reload"):
            passwd(path, "ann", password="three")
            passwd(path, "-d", "bob")
            expect_status(suite, "ann:one", "a", 200)
            reload(suite)
            expect_status(suite, "ann:one", "a", 401)
            expect_status(suite, "ann:three", "a", 200)
            expect_status(suite, "bob:two", "a", 401)
        with tap.case("a password with a NUL in it is refused, not cut"):
            done = run_passwd(path, "ann", password="one\0more")
            weir.expect(done.returncode == 1, done)
            weir.expect("no control characters" in done.stderr, done)
        with tap.case("a file that others may read leaves the accounts"):
            os.chmod(path, 0o644)
            reload(suite)
            weir.expect(suite.lines("accounts_file_failed"), "not said")
            expect_status(suite, "ann:three", "a", 200)


def guessing(tap):
    limit = {"per_second": 1, "burst": 5}
    with weir.Weir(http={"failed_logins": limit}) as suite:
        with tap.case("wrong credentials are limited, right ones go on"):
            expect_status(suite, "admin:public", "a", 200)
            statuses = []
            for number in range(12):
                auth = "admin:wrong-%d" % number
                status, headers, text = suite.http(
                    "POST", PUBLISH, message("a"), auth=auth
                )
                statuses.append(status)
            weir.expect(statuses[:5] == [401] * 5, statuses)
            weir.expect(statuses[-1] == 429, statuses)
            weir.expect(headers["retry-after"] == "1", headers)
            weir.expect(
                json.loads(text)["limit"] == "http.failed_logins", text
            )
            expect_status(suite, "admin:public", "a", 200)
        with tap.case("after Retry-After another try is judged"):
            def is_judged():
                status, _ = publish(suite, "admin:wrong-again", "a")
                return status == 401

            weir.wait_for("a try", is_judged, 10)


def main():
    tap = weir.Tap()
    with weir.Box() as box:
        secret_file = os.path.join(box.dir, "ci-secret")
        with open(secret_file, "w") as f:
            f.write(SECRET + "\n")
        os.chmod(secret_file, 0o600)
        issuer = Issuer(box.dir)
        http = {
            "keys": keys(secret_file),
            "jwt": issuer.rules(),
            "failed_logins": {"per_second": 0},
        }
        with weir.Weir(accounts=ACCOUNTS, http=http) as suite:
            publishing(tap, suite)
            using_keys(tap, suite)
            credentials(tap, suite)
            tokens(tap, suite, issuer)
            routes(tap, suite, issuer)
            reloading(tap, suite)
        guessing(tap)
        files(tap, box.dir)
    tap.done()


if __name__ == "__main__":
    main()
