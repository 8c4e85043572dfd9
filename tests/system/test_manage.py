#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""What can be asked of the broker, by weirctl: clients, subscriptions, orders."""

import json
import os
import struct
import subprocess
import time

import weir

FAILED, USAGE, UNAVAILABLE = 1, 64, 69


def call(w, *words):
    """(exit status, stdout, stderr) of a verb."""
    done = subprocess.run(
        [weir.program("weirctl"), *words, "-c", w.config],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=60,
        encoding="utf-8",
    )
    return done.returncode, done.stdout, done.stderr


def ask(w, *words):
    return json.loads(w.ctl(*words, "--json", seconds=60))


def one_client(w, client_id):
    clients = ask(w, "clients", client_id)["clients"]
    weir.expect(len(clients) == 1, "clients %s: %r" % (client_id, clients))
    return clients[0]


def expiry(seconds):
    """The property Session Expiry Interval."""
    return b"\x11" + struct.pack(">I", seconds)


def check_fields(w):
    started = int(time.time())
    client = w.mqtt("sensor", version=5, username="admin", password="public",
                    keepalive=30, properties=expiry(300), clean=False,
                    will=("gone", "x", 0, False))
    client.subscribe("a/+", 1)
    client.subscribe("b/#", 0)
    client.publish("c", "hello", 1)
    other = w.mqtt("other")
    other.publish("a/1", "hello", 1)
    client.receive()
    other.close()
    seen = one_client(w, "sensor")
    expect = {
        "client_id": "sensor", "username": "admin", "connected": True,
        "protocol": 5, "keepalive_s": 30, "clean_start": False,
        "session_expiry_s": 300, "expires_at": None, "subscriptions": 2,
        "queued": 0, "messages_in": 1, "messages_out": 1, "will": True,
        "listener": "127.0.0.1:%d" % w.port,
    }
    for key, value in expect.items():
        weir.expect(seen[key] == value, "%s: %r" % (key, seen[key]))
    weir.expect(seen["address"].startswith("127.0.0.1:"), seen["address"])
    weir.expect(started - 1 <= seen["connected_at"] <= time.time() + 1,
                "connected_at %d" % seen["connected_at"])
    weir.expect(seen["bytes_in"] > 20 and seen["bytes_out"] > 4, seen)
    client.close()
    gone = weir.wait_for("its session waits", lambda: next(
        (c for c in ask(w, "clients", "sensor")["clients"]
         if not c["connected"]), None))
    weir.expect("address" not in gone, "%r" % gone)
    weir.expect(started + 299 <= gone["expires_at"] <= time.time() + 301,
                "expires_at %d" % gone["expires_at"])


def all_pages(w, verb, key, limit, *more):
    """Every entry, by pages; the count must be the same on each."""
    entries, page = [], 1
    while True:
        answer = ask(w, verb, "--limit", str(limit), "--page", str(page), *more)
        weir.expect(answer["page"] == page and answer["limit"] == limit, "page")
        if not answer[key]:
            break
        entries += answer[key]
        page += 1
    weir.expect(answer["count"] == len(entries),
                "count %d, entries %d" % (answer["count"], len(entries)))
    return entries


def check_pages(w, count):
    clients = [w.mqtt("c-%d" % i) for i in range(count)]
    listed = [c["client_id"] for c in all_pages(w, "clients", "clients", 7)
              if c["client_id"].startswith("c-")]
    weir.expect(sorted(listed) == sorted("c-%d" % i for i in range(count)),
                "listed %r" % listed)
    again = [c["client_id"] for c in all_pages(w, "clients", "clients", 10000)
             if c["client_id"].startswith("c-")]
    weir.expect(again == listed, "another order: %r, %r" % (again, listed))
    # Who comes and goes changes no other's place.
    extra = [w.mqtt("d-%d" % i) for i in range(count)]
    clients.pop(3).close()
    weir.wait_for("it has gone", lambda: not ask(w, "clients", "c-3")["clients"])
    later = [c["client_id"] for c in all_pages(w, "clients", "clients", 11)
             if c["client_id"].startswith("c-")]
    weir.expect(later == [c for c in listed if c != "c-3"],
                "the order has changed: %r, %r" % (later, listed))
    for client in clients + extra:
        client.close()


def check_users(w):
    known = w.mqtt("known", username="admin", password="public")
    other = w.mqtt("other")
    listed = all_pages(w, "clients", "clients", 3, "--user", "admin")
    names = [c["client_id"] for c in listed if c["connected"]]
    weir.expect(names == ["known"], "of admin: %r" % names)
    weir.expect(not ask(w, "clients", "--user", "nobody")["clients"], "nobody's")
    known.close()
    other.close()


def check_subscriptions(w):
    wide, narrow = w.mqtt("wide"), w.mqtt("narrow")
    filters = ["wide/%03d" % i for i in range(500)]
    for topic_filter in filters:
        wide.subscribe(topic_filter, 2)
    narrow.subscribe("$share/g/x/#", 1)
    narrow.subscribe("y", 0)
    mine = ask(w, "subscriptions", "narrow")
    weir.expect(mine["count"] == 2, mine)
    weir.expect({s["filter"]: s["qos"] for s in mine["subscriptions"]}
                == {"$share/g/x/#": 1, "y": 0}, mine)
    for limit in (9, 130, 10000):
        listed = all_pages(w, "subscriptions", "subscriptions", limit)
        weir.expect(sorted(s["filter"] for s in listed
                           if s["client_id"] == "wide") == filters,
                    "with %d: %d" % (limit, len(listed)))
    weir.expect(ask(w, "subscriptions", "nobody")["count"] == 0, "nobody's")
    tree = ask(w, "topics")
    levels = tree["tree"]
    weir.expect(not tree["truncated"], "truncated")
    weir.expect(len(levels["wide"]["levels"]) == 500, "below wide")
    weir.expect(levels["y"] == {"subscriptions": 1}, levels["y"])
    weir.expect(levels["$share"]["levels"]["g"]["levels"]["x"]["levels"]["#"]
                ["subscriptions"] == 1, levels["$share"])
    cut = ask(w, "topics", "--limit", "50")
    weir.expect(cut["truncated"] and cut["levels"] == 50, cut["levels"])
    weir.expect("There is more" in w.ctl("topics", "--limit", "50"), "text")
    wide.close()
    narrow.close()


def check_kick(w):
    kept = w.mqtt("kept", version=5, properties=expiry(100),
                  will=("kept/will", "bye", 0, False))
    lost = w.mqtt("lost")
    watcher = w.mqtt("watcher")
    watcher.subscribe("kept/will")
    weir.expect("waits for it" in w.ctl("kick", "kept"), "kept")
    kind, _, body = kept.read()
    weir.expect(kind == weir.DISCONNECT and body[0] == 0x98,
                "told %d %r" % (kind, body))
    weir.expect(kept.is_closed(), "it is not closed")
    # A server's DISCONNECT is not the client's: the will is published.
    weir.expect(watcher.receive().payload == b"bye", "the will")
    weir.expect("has ended" in w.ctl("kick", "lost"), "lost")
    weir.expect(lost.is_closed(), "MQTT 3.1.1 is not closed")
    weir.expect(not one_client(w, "kept")["connected"], "kept is connected")
    weir.expect(not ask(w, "clients", "lost")["clients"], "lost has a session")
    status, _, said = call(w, "kick", "kept")
    weir.expect(status == FAILED and "no client is connected" in said, said)
    watcher.close()


def bridge_state(w):
    return ask(w, "bridges", "cloud")["bridges"][0]


def check_bridge(remote):
    """Messages for a disabled bridge wait, whoever is restarted meanwhile."""
    bridge = {
        "name": "cloud", "url": "mqtt://127.0.0.1:%d" % remote.port,
        "forward": [{"filter": "up/#", "qos": 1}], "retry_min": "50ms",
        "backlog": "1MiB",
    }
    seen = weir.Collector(remote.port, "up/#")
    with weir.Weir(bridges=[bridge], durability="process") as w:
        weir.wait_for("it is connected", lambda: bridge_state(w)["connected"])
        weir.expect(w.publish("up/0", "0") == 200, "before")
        seen.wait_count(1)
        weir.expect("is disabled" in w.ctl("bridge", "disable", "cloud"), "said")
        weir.wait_for("it has left", lambda: not bridge_state(w)["connected"])
        state = bridge_state(w)
        weir.expect(state["state"] == "disabled" and not state["enabled"], state)
        for i in range(1, 6):
            weir.expect(w.publish("up/%d" % i, str(i)) == 200, "while disabled")
        weir.kill(w.pid("weir-bridged"), weir.signal.SIGKILL)
        weir.kill(w.pid("weir-broker"), weir.signal.SIGKILL)
        weir.wait_for("it is back, and disabled", lambda: any(
            b["state"] == "disabled" and b["pid"] and not b["connected"]
            for b in try_bridges(w)))
        weir.wait_for("they wait", lambda: bridge_state(w)["queued"] == 5)
        weir.expect(len(seen.payloads()) == 1, "sent while disabled")
        again = w.ctl("bridge", "disable", "cloud")
        weir.expect("is disabled" in again, "twice: " + again)
        weir.expect("is enabled" in w.ctl("bridge", "enable", "cloud"), "enable")
        seen.wait_count(6)
        weir.expect(seen.payloads() == ["%d" % i for i in range(6)],
                    "%r" % seen.payloads())
        weir.wait_for("all is delivered", lambda:
                      bridge_state(w)["delivered"] >= 5)
        status, _, said = call(w, "bridge", "disable", "nowhere")
        weir.expect(status == FAILED and "no bridge" in said, said)
        status, _, said = call(w, "bridge", "paint", "cloud")
        weir.expect(status == USAGE, said)
    seen.stop()


def try_bridges(w):
    status, out, _ = call(w, "bridges", "--json")
    return json.loads(out)["bridges"] if status == 0 else []


def rewrite(w, **keys):
    settings = dict(w.settings, **keys)
    with open(w.config, "w") as f:
        f.write(weir.libconfig(settings))


def check_reload(remote):
    bridge = {
        "name": "cloud", "url": "mqtt://127.0.0.1:%d" % remote.port,
        "forward": [{"filter": "old/#"}],
    }
    with weir.Weir(bridges=[bridge]) as w:
        weir.expect(ask(w, "reload")["restart"] == [], "nothing has changed")
        seen = weir.Collector(remote.port, "new/#")
        bridge["forward"] = [{"filter": "new/#"}]
        rewrite(w, bridges=[bridge], accounts=[
            {"name": "admin", "password": "public"},
            {"name": "second", "password": "secret"}])
        weir.expect(w.ctl("reload") == "reloaded\n", "text")
        weir.wait_for("the new filter holds", lambda: (
            w.publish("new/1", "x") == 200 and seen.payloads()))
        w.mqtt("second", username="second", password="secret").close()
        rewrite(w, workers=3, max_connections=77, bridges=[
            dict(bridge, max_inflight=9), dict(bridge, name="more")],
            listeners=[])
        said = set(ask(w, "reload")["restart"])
        for key in ("workers", "max_connections", "listeners",
                    "bridges.cloud.max_inflight", "bridges.more"):
            weir.expect(key in said, "%s is not in %r" % (key, said))
        rewrite(w, max_packet_size="many", colour="blue")
        answer = w.http("GET", "/healthz")
        weir.expect(answer[0] == 200, "%r" % (answer,))
        good = os.path.join(w.box.dir, "good.conf")
        with open(good, "w") as f:
            f.write(weir.libconfig(w.settings))
        done = subprocess.run(
            [weir.program("weirctl"), "reload", "-c", good],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
            encoding="utf-8")
        weir.expect(done.returncode == FAILED, "exit %d" % done.returncode)
        for word in ("max_packet_size", "colour", w.config + ":",
                     "nothing was changed"):
            weir.expect(word in done.stderr, "%s: %s" % (word, done.stderr))
        weir.expect(w.publish("t", "x") == 200, "the old one is not in use")
        seen.stop()
        rewrite(w)


def http_json(w, method, path, body=None):
    status, _, text = w.http(method, path, None if body is None
                             else json.dumps(body))
    return status, json.loads(text)


def check_made_bridges(remote):
    """Bridges that are made by the API are there after a restart."""
    own = {"name": "own", "url": "mqtt://127.0.0.1:%d" % remote.port,
           "forward": [{"filter": "own/#"}]}
    made = {"url": own["url"], "forward": [{"filter": "made/#", "qos": 1}],
            "client_id": 'quo"ted\\ ü', "retry_min": "50ms",
            "announce_bridge": True, "max_inflight": 7, "password": None,
            "ring": {"capacity": "64KiB"}}
    path = "/api/v4/bridges/"
    with weir.Weir(bridges=[own]) as w:
        status, answer = http_json(w, "PUT", path + "made", made)
        weir.expect(status == 200 and answer["created"], "%r" % answer)
        status, answer = http_json(w, "POST", path + "made", made)
        weir.expect(status == 409, "there is one: %d %r" % (status, answer))
        coming = ask(w, "bridges", "made")["bridges"]
        weir.expect([b["state"] for b in coming] == ["needs_restart"], coming)
        status, answer = http_json(w, "PUT", path + "own", made)
        weir.expect(status == 409 and w.config + ":" in answer["message"],
                    "%d %r" % (status, answer))
        status, answer = http_json(w, "DELETE", path + "own")
        weir.expect(status == 409, "%d %r" % (status, answer))
        for wrong, word in ((dict(made, colour="red"), "colour"),
                            (dict(made, url="http://x"), "url"),
                            (dict(made, name="other"), "name"),
                            ({"url": own["url"], "a=1;b": 2}, "key"),
                            (dict(made, forward=[None]), "null")):
            status, answer = http_json(w, "PUT", path + "made", wrong)
            weir.expect(status in (400, 422) and word in answer["message"],
                        "%r: %d %r" % (wrong, status, answer))
        for name in ("..%2fx", "a%22b", "%2e%2e", "x" * 33):
            status, answer = http_json(w, "PUT", path + name, made)
            weir.expect(status in (400, 404, 422), "%s: %d" % (name, status))
        folder = os.path.join(w.settings["state_dir"], "bridges.d")
        weir.expect(os.listdir(folder) == ["made.conf"], os.listdir(folder))
        weir.expect(os.stat(os.path.join(folder, "made.conf")).st_mode & 0o777
                    == 0o640, "mode")
        seen = weir.Collector(remote.port, "made/#")
        weir.expect(w.shut_down() == 0, "the end")
        w.start()
        w.wait_ready()
        weir.wait_for("the made one is connected", lambda: any(
            b["name"] == "made" and b["connected"] for b in try_bridges(w)))
        weir.expect(w.publish("made/1", "x") == 200, "publish")
        seen.wait_count(1)
        made["forward"].append({"filter": "more/#"})
        status, answer = http_json(w, "PUT", path + "made", made)
        weir.expect(status == 200 and not answer["created"], "%r" % answer)
        weir.expect(answer["restart"] == [], "%r" % answer)
        more = weir.Collector(remote.port, "more/#")
        weir.wait_for("its new rule holds", lambda: (
            w.publish("more/1", "x") == 200 and more.payloads()))
        status, answer = http_json(w, "DELETE", path + "made")
        weir.expect(status in (200, 204), "%d %r" % (status, answer))
        weir.expect(os.listdir(folder) == [], os.listdir(folder))
        left = ask(w, "bridges", "made")["bridges"]
        weir.expect([b["configured"] for b in left] == [False], left)
        status, answer = http_json(w, "DELETE", path + "nowhere")
        weir.expect(status == 404, "%d %r" % (status, answer))
        # A file that somebody spoilt is named, and stops a start.
        with open(os.path.join(folder, "bad.conf"), "w") as f:
            f.write('name = "bad";\nurl = "mqtt://127.0.0.1:1";\nhue = 1;\n')
        status, _, said = call(w, "reload")
        weir.expect(status != 0 and "bad.conf:3" in said, said)
        os.unlink(os.path.join(folder, "bad.conf"))
        seen.stop()
        more.stop()


def check_refusals(w):
    for words, word in (
        (("clients", "--limit", "10001"), "from 1 to 10000"),
        (("subscriptions", "--page", "99999999999"), "from 1 to"),
        # What is cut short within a character is told all the same.
        (("kick", "x" + 150 * "\u00e4"), "no client is connected"),
        (("bridge", "enable", "x" + 40 * "\u00e4"), "there is no bridge"),
    ):
        status, _, said = call(w, *words)
        weir.expect(status == FAILED and word in said, "%r: %s" % (words, said))
    for words in (("kick",), ("kick", "a", "b"), ("topics", "x")):
        status, _, said = call(w, *words)
        weir.expect(status == USAGE, "%r: %d %s" % (words, status, said))


def main():
    tap = weir.Tap()
    with weir.Weir(workers=2) as w:
        with tap.case("a client is shown with all that it said and did"):
            check_fields(w)
        with tap.case("pages have every client once, in an order that stays"):
            check_pages(w, 40)
        with tap.case("clients of one account"):
            check_users(w)
        with tap.case("subscriptions in pages, and as a tree"):
            check_subscriptions(w)
        with tap.case("who is kicked is told, its session as it asked for"):
            check_kick(w)
        with tap.case("what cannot be is refused with a reason"):
            check_refusals(w)
    with tap.case("a disabled bridge stays away, and loses nothing"):
        with weir.Mosquitto() as remote:
            check_bridge(remote)
    with tap.case("a reload tells what it took, and what it cannot"):
        with weir.Mosquitto() as remote:
            check_reload(remote)
    with tap.case("bridges are made, changed and removed by HTTP"):
        with weir.Mosquitto() as remote:
            check_made_bridges(remote)
    with tap.case("without a broker weirctl says so"):
        status, _, said = call(w, "clients")
        weir.expect(status in (UNAVAILABLE, 78), "exit %d: %s" % (status, said))
    tap.done()


if __name__ == "__main__":
    main()
