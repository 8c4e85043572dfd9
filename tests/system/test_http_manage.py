#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""The management by HTTP: clients, subscriptions, bridges, configuration."""

import json
import re
import socket
import urllib.parse

import weir


def ask(suite, method, path, body=None, **more):
    text = None if body is None else json.dumps(body)
    status, headers, text = suite.http(method, path, text, **more)
    is_json = headers.get("content-type", "").startswith("application/json")
    return status, json.loads(text) if is_json else text, headers


def get(suite, path, **more):
    """A 200's data."""
    status, answer, _ = ask(suite, "GET", path, **more)
    weir.expect(status == 200, "%s: %d %r" % (path, status, answer))
    if path.startswith("/api/v4"):
        weir.expect(answer["code"] == 0, answer)
    return answer


def refused(suite, method, path, want, word="", body=None, code=None, **more):
    status, answer, _ = ask(suite, method, path, body, **more)
    weir.expect(status == want, "%s: %d, not %d: %r" % (path, status, want, answer))
    weir.expect(word in answer["message"], answer)
    weir.expect(answer["code"] == (code or want), answer)


def quote(text):
    return urllib.parse.quote(text, safe="")


def nodes(tap, suite):
    with tap.case("brokers and nodes say which version runs, and how long"):
        (broker,) = get(suite, "/api/v4/brokers")["data"]
        weir.expect(broker["node_status"] == "Running", broker)
        weir.expect(re.match(r"\d+\.\d+", broker["version"]), broker)
        (node,) = get(suite, "/api/v4/nodes")["data"]
        weir.expect(node["version"] == broker["version"], node)
        weir.expect(node["memory_used"] > 1 << 20, node)
        (node,) = get(suite, "/api/v5/nodes")
        weir.expect(node["node_status"] == "running", node)
        weir.expect(isinstance(node["uptime"], int), node)

    with tap.case("metrics count what happens, in both programs"):
        before = get(suite, "/api/v4/metrics")["data"][0]["metrics"]
        suite.publish("t/a", "x")
        after = get(suite, "/api/v4/metrics")["data"][0]["metrics"]
        weir.expect(
            after["http.accepted_messages"] == before["http.accepted_messages"] + 1,
            "accepted",
        )
        weir.expect(
            after["ring_messages_in"] == before["ring_messages_in"] + 1, "ring"
        )
        (metrics,) = get(suite, "/api/v5/metrics")
        weir.expect(metrics["node"] == "weir", "node")
        weir.expect("messages.received" in metrics, "alias")

    with tap.case("the list of routes is the table"):
        listed = get(suite, "/api/v4")["data"]
        weir.expect(
            {"path", "name", "method", "descr", "scope"} == set(listed[0]), listed[0]
        )
        weir.expect(len(listed) > 30, len(listed))

    with tap.case("the state needs no account"):
        status, text, _ = ask(suite, "GET", "/api/v5/status", auth=None)
        weir.expect(status == 200 and "weir is running" in text, (status, text))

    with tap.case("parameters that are unknown or wrong are 400"):
        bad = 108
        refused(suite, "GET", "/api/v4/brokers?x=1", 400, "no param", code=bad)
        refused(suite, "GET", "/api/v4/clients?limt=1", 400, "limit", code=bad)
        for value in ("0", "-1", "1001", "x", "", "1.5", "99999999999999999999"):
            path = "/api/v4/clients?limit=" + value
            refused(suite, "GET", path, 400, "from 1 to 1000", code=bad)
        for value in ("%", "%zz", "%00", "%ff"):
            path = "/api/v4/clients?clientid=" + value
            refused(suite, "GET", path, 400, "UTF-8", code=bad)
            path = "/api/v4/clients/" + value
            refused(suite, "GET", path, 400, "UTF-8", code=bad)


def clients(tap, suite):
    names = ["one", "two words", "a/b", "100%", "\u00e9\u4e2d", "q?x=1&y#z"]
    connected = [suite.mqtt(name, username="admin", password="public") for name in names]
    five = suite.mqtt("five", version=5)
    names.append("five")

    with tap.case("clients are listed with what is known of them"):
        answer = get(suite, "/api/v4/clients")
        weir.expect({c["clientid"] for c in answer["data"]} == set(names), answer)
        weir.expect(answer["meta"]["count"] == len(names), answer["meta"])
        by_name = {c["clientid"]: c for c in answer["data"]}
        one = by_name["one"]
        weir.expect(one["client_id"] == "one" and one["username"] == "admin", one)
        weir.expect(one["connected"] and one["conn_state"] == "connected", one)
        weir.expect(one["proto_ver"] == 4 and by_name["five"]["proto_ver"] == 5, one)
        weir.expect(one["ip_address"] == "127.0.0.1", one)
        port = connected[0].sock.getsockname()[1]
        weir.expect(one["port"] == port, (one, port))
        stamp = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$"
        weir.expect(re.match(stamp, one["connected_at"]), one)

    with tap.case("v5 has the same in its own words"):
        answer = get(suite, "/api/v5/clients")
        weir.expect({c["clientid"] for c in answer["data"]} == set(names), answer)
        weir.expect("T" in answer["data"][0]["connected_at"], answer["data"][0])

    with tap.case("a client is found by its identifier, whatever is in it"):
        for name in names:
            (one,) = get(suite, "/api/v4/clients/" + quote(name))["data"]
            weir.expect(one["clientid"] == name, one)
            one = get(suite, "/api/v5/clients/" + quote(name))
            weir.expect(one["clientid"] == name, one)
            path = "/api/v4/clients?clientid=" + quote(name)
            weir.expect(len(get(suite, path)["data"]) == 1, name)
        refused(suite, "GET", "/api/v4/clients/nobody", 404, code=112)
        refused(suite, "GET", "/api/v5/clients/nobody", 404, code=112)

    with tap.case("clients are found by their user name"):
        answer = get(suite, "/api/v4/clients/username/admin")
        got = {c["clientid"] for c in answer["data"]}
        weir.expect(got == set(names) - {"five"}, got)
        weir.expect(get(suite, "/api/v4/clients/username/x")["data"] == [], "x")

    with tap.case("pages make up the whole list, none twice"):
        seen, page = [], 1
        while True:
            answer = get(suite, "/api/v4/clients?_limit=3&_page=%d" % page)
            weir.expect(len(answer["data"]) <= 3, answer)
            weir.expect(answer["meta"]["page"] == page, answer["meta"])
            weir.expect(answer["meta"]["limit"] == 3, answer["meta"])
            seen += [c["clientid"] for c in answer["data"]]
            if not answer["meta"]["hasnext"]:
                break
            page += 1
        weir.expect(sorted(seen) == sorted(names) and page == 3, (seen, page))

    with tap.case("a client is disconnected, and the others are not"):
        status, answer, _ = ask(suite, "DELETE", "/api/v4/clients/a%2Fb")
        weir.expect(status == 200 and answer["code"] == 0, (status, answer))
        weir.wait_for("it is closed", lambda: connected[2].is_closed(0.1))
        refused(suite, "DELETE", "/api/v4/clients/a%2Fb", 404, code=112)
        status, answer, headers = ask(suite, "DELETE", "/api/v5/clients/five")
        weir.expect(status == 204 and "content-length" not in headers, headers)
        weir.wait_for("it is closed", lambda: five.is_closed(0.1))
        connected[0].ping()
    for client in connected:
        client.close()


def subscriptions(tap, suite):
    one = suite.mqtt("one")
    two = suite.mqtt("two", version=5)
    one.subscribe("plant/+/temp", 1)
    one.subscribe("plant/#", 0)
    two.subscribe("plant/+/temp", 2)

    with tap.case("subscriptions are listed, of all and of one client"):
        answer = get(suite, "/api/v4/subscriptions")
        got = {(s["clientid"], s["topic"], s["qos"]) for s in answer["data"]}
        want = {
            ("one", "plant/+/temp", 1),
            ("one", "plant/#", 0),
            ("two", "plant/+/temp", 2),
        }
        weir.expect(got == want, got)
        answer = get(suite, "/api/v4/subscriptions/two")
        weir.expect([s["clientid"] for s in answer["data"]] == ["two"], answer)
        answer = get(suite, "/api/v5/subscriptions?clientid=one&limit=1")
        weir.expect(len(answer["data"]) == 1 and answer["meta"]["hasnext"], answer)
        answer = get(suite, "/api/v5/clients/one/subscriptions")
        weir.expect(len(answer) == 2, answer)
        weir.expect(get(suite, "/api/v4/subscriptions/no")["data"] == [], "no")

    with tap.case("the topic tree has an array a level"):
        answer = get(suite, "/api/v4/topic-tree")
        names = [{n["topic"] for n in level} for level in answer["data"]]
        weir.expect(names == [{"plant"}, {"+", "#"}, {"temp"}], names)
        weir.expect(answer["data"][0][0]["cld_cnt"] == 2, answer)
        weir.expect(answer["data"][2][0]["subscriptions"] == 2, answer)
        weir.expect(answer["truncated"] is False, answer)
        answer = get(suite, "/api/v4/topic-tree?limit=1")
        weir.expect(answer["truncated"] is True, answer)

    with tap.case("stats have the numbers of both"):
        (stats,) = get(suite, "/api/v5/stats")
        weir.expect(stats["subscriptions.count"] == 3, stats)
        weir.expect(stats["live_connections.count"] == 2, stats)
    one.close()
    two.close()


def configuration(tap, suite):
    with tap.case("the configuration is shown as it is in force, without secrets"):
        whole = get(suite, "/api/v4/configuration")["data"]
        weir.expect(whole["http"]["bind"].endswith(str(suite.http_port)), whole["http"])
        weir.expect(whole["http"]["stall_timeout"] == "2s", whole["http"])
        weir.expect(whole["max_connections"] == 10000, "a default")
        account = whole["accounts"][0]
        weir.expect(account["name"] == "admin", account)
        weir.expect(account["password"] == "***", account)
        weir.expect(account["scopes"] == ["publish", "read", "manage"], account)
        weir.expect(whole["accounts"][2]["scopes"] == ["read"], whole["accounts"])
        (bridge,) = whole["bridges"]
        weir.expect(bridge["name"] == "cloud" and bridge["password"] == "***", bridge)
        text = json.dumps(whole)
        for secret in ('"public"', "hush"):
            weir.expect(secret not in text, secret)

    with tap.case("sections are shown alone; an unknown one is 404"):
        whole = get(suite, "/api/v4/configuration")["data"]
        for section in ("http", "bridges", "accounts", "listeners", "journal"):
            part = get(suite, "/api/v4/configuration/" + section)["data"]
            weir.expect(part == whole[section], section)
        basic = get(suite, "/api/v4/configuration/basic")["data"]
        weir.expect(basic == {k: whole[k] for k in basic}, "basic")
        weir.expect("http" not in basic and "durability" in basic, basic)
        refused(suite, "GET", "/api/v4/configuration/no", 404, "basic")
        refused(suite, "GET", "/api/v4/configuration/durability", 404, "basic")

    with tap.case("what a reload changes is listed"):
        keys = get(suite, "/api/v4/reload")["data"]
        weir.expect("http.rate.per_second" in keys, keys)
        weir.expect("run_dir" not in keys, keys)


def bridges(tap, suite):
    with tap.case("bridges are listed with their books"):
        (bridge,) = get(suite, "/api/v4/bridges")["data"]
        weir.expect(bridge["name"] == "cloud", bridge)
        suite.publish("b/x", "1")
        (bridge,) = get(suite, "/api/v4/bridges/cloud")["data"]
        parts = ("delivered", "queued", "dropped", "dead")
        total = sum(bridge[name] for name in parts)
        weir.expect(bridge["accepted"] == 1 and total == 1, bridge)
        refused(suite, "GET", "/api/v4/bridges/no", 404)

    with tap.case("what a switch needs is said"):
        path = "/api/v4/bridges/switch/cloud"
        refused(suite, "POST", path, 400, "enable", {}, code=108)
        refused(suite, "POST", path, 400, "enable", {"enable": 1}, code=108)
        refused(suite, "POST", path, 400, "object", [], code=109)

    with tap.case("a bridge is stopped by order, and goes on by order"):
        path = "/api/v4/bridges/switch/cloud"
        for enable, state in ((False, "disabled"), (True, "attached")):
            status, answer, _ = ask(suite, "POST", path, {"enable": enable})
            weir.expect(status == 200 and answer["code"] == 0, (status, answer))
            weir.wait_for(
                "it is " + state,
                lambda: get(suite, "/api/v4/bridges/cloud")["data"][0]["state"]
                == state,
            )
        path = "/api/v4/bridges/switch/no"
        refused(suite, "PUT", path, 404, "", {"enable": True})

    with tap.case("a bridge that is there is not made again"):
        path = "/api/v4/bridges/cloud"
        keys = {"url": "mqtt://127.0.0.1:1", "forward": [{"filter": "m/#"}]}
        refused(suite, "POST", path, 409, "PUT", keys)
        path = "/api/v4/bridges/made"
        status, answer, _ = ask(suite, "POST", path, keys)
        weir.expect(status == 201 and answer["code"] == 0, (status, answer))
        refused(suite, "POST", path, 409, "PUT", keys)
        status, answer, _ = ask(suite, "PUT", path, keys)
        weir.expect(status == 200 and not answer["created"], (status, answer))
        status, answer, _ = ask(suite, "DELETE", path)
        weir.expect(status == 200 and answer["code"] == 0, (status, answer))
        refused(suite, "DELETE", path, 404, "made")
        status, answer, _ = ask(suite, "POST", path, keys)
        weir.expect(status == 201, (status, answer))
        weir.expect(ask(suite, "DELETE", path)[0] == 200, "again")


def body_for(route, scope):
    """A body that is right, so that only the scope lacks."""
    message = {"topic": "t", "payload": "x"}
    if scope == "publish":
        many = route["name"] in ("publish_batch", "publish_bulk_v5")
        return [message] if many else message
    if route["method"] in ("PUT", "POST"):
        return {"enable": True, "url": "mqtt://127.0.0.1:1"}
    return None


def scopes(tap, suite):
    with tap.case("each route needs its scope, which the broker proves"):
        seen = set()
        for route in get(suite, "/api/v4")["data"]:
            scope = route["scope"]
            if not scope or route["path"] == "/metrics":
                continue
            path = re.sub(r"{(\w+)}", "1", route["path"])
            for have in {"publish", "read", "manage"} - {scope}:
                where = "%s %s as %s" % (route["method"], path, have)
                status, answer, _ = ask(
                    suite,
                    route["method"],
                    path,
                    body_for(route, scope),
                    auth=have + ":public",
                )
                if status == 501:
                    continue  # this broker knows no such order
                if status == 207:
                    results = answer["data"] if isinstance(answer, dict) else answer
                    status, answer = results[0]["code"], results[0]
                weir.expect(status == 403, "%s: %d %r" % (where, status, answer))
                if scope != "publish":
                    weir.expect('"%s"' % scope in answer["message"], (where, answer))
            seen.add(scope)
        weir.expect(seen == {"publish", "read", "manage"}, seen)

    with tap.case("an account may do what its scopes say, and no more"):
        as_read, as_manage = "read:public", "manage:public"
        weir.expect(ask(suite, "GET", "/api/v4/clients", auth=as_read)[0] == 200, "r")
        weir.expect(
            ask(suite, "POST", "/api/v4/reload", auth=as_manage)[0] == 200, "m"
        )
        message = {"topic": "t", "payload": "x"}
        as_publish = "publish:public"
        status = ask(suite, "POST", "/api/v5/publish", message, auth=as_publish)[0]
        weir.expect(status == 202, status)


def pages_of_others(tap, suite):
    with tap.case("a page of another origin orders nothing with a known password"):
        client = suite.mqtt("victim")
        evil = {"Origin": "http://evil"}
        for method, path in (
            ("DELETE", "/api/v4/clients/victim"),
            ("POST", "/api/v4/reload"),
            ("POST", "/api/v4/bridges/switch/cloud"),
        ):
            status = suite.http(method, path, headers=evil)[0]
            weir.expect(status == 415, "%s %s: %d" % (method, path, status))
        client.ping()
        client.close()


def main():
    tap = weir.Tap()
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    bridge = {
        "name": "cloud",
        "type": "mqtt",
        "url": "mqtt://127.0.0.1:%d" % port,
        "username": "u",
        "password": "hush",
        "forward": ({"filter": "b/#", "qos": 1},),
    }
    accounts = [{"name": "admin", "password": "public"}] + [
        {"name": scope, "password": "public", "scopes": (scope,)}
        for scope in ("publish", "read", "manage")
    ]
    with tap.case("the suite starts, and ends in order"):
        with weir.Weir(bridges=(bridge,), accounts=accounts) as suite:
            for group in (
                nodes, clients, subscriptions, configuration, bridges, scopes,
                pages_of_others,
            ):
                group(tap, suite)
    tap.done()


if __name__ == "__main__":
    main()
