#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""Who may what by HTTP: accounts, keys, scopes, topics, and a reload of them."""

import json
import os
import signal

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


def main():
    tap = weir.Tap()
    with weir.Box() as box:
        secret_file = os.path.join(box.dir, "ci-secret")
        with open(secret_file, "w") as f:
            f.write(SECRET + "\n")
        os.chmod(secret_file, 0o600)
        settings = {"accounts": ACCOUNTS, "http": {"keys": keys(secret_file)}}
        with weir.Weir(**settings) as suite:
            publishing(tap, suite)
            using_keys(tap, suite)
            reloading(tap, suite)
    tap.done()


if __name__ == "__main__":
    main()
