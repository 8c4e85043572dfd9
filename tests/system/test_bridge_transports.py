#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""Bridges over TLS and WebSocket, to several addresses, and what they say when they fail."""

import json
import os
import shutil
import ssl
import subprocess
import tempfile

import certificates
import weir
import websocket_proxy

NAMES = "DNS:localhost,IP:127.0.0.1"


class TlsMosquitto(weir.Mosquitto):
    """A mosquitto with a second listener that speaks TLS."""

    def __init__(self, *lines):
        self.tls_port = weir.free_port()
        super().__init__(
            extra="listener %d 127.0.0.1\n" % self.tls_port + "".join(lines)
        )


def files(ca, name="server"):
    return "cafile %s\ncertfile %s\nkeyfile %s\n" % (
        ca.path("ca.pem"),
        ca.path(name + ".pem"),
        ca.path(name + ".key"),
    )


def bridge(**more):
    return dict(
        {
            "name": "cloud",
            "forward": [{"filter": "up/#", "qos": 1}],
            "receive": [{"filter": "down/#", "qos": 1}],
            "retry_min": "100ms",
            "retry_max": "300ms",
            "connect_timeout": "5s",
        },
        **more
    )


def why(suite):
    return suite.ctl("why", "cloud", check=False)


def carries(suite, remote, count=20):
    """Messages go both ways."""
    far = weir.Mqtt(remote.port, "far")
    far.subscribe("up/#", 1)
    near = suite.mqtt("near")
    near.subscribe("down/#", 1)
    weir.wait_for("the bridge is connected", lambda: suite.lines("bridge_connected"))
    for number in range(count):
        status = suite.publish("up/n", str(number))
        weir.expect(status == 200, "status %d" % status)
    got = [far.receive().payload for _ in range(count)]
    weir.expect(got == [str(n).encode() for n in range(count)], got)

    def comes_back():
        far.publish("down/x", b"back", 1)
        near.sock.settimeout(1)
        try:
            return near.receive().payload == b"back"
        except (OSError, EOFError):
            return False

    weir.wait_for("a message from the remote", comes_back)
    far.close()
    near.close()


def fails(suite, words):
    """The bridge cannot connect, and says so by these words."""

    def is_said():
        return any(words in line for line in suite.lines("bridge_disconnected"))

    weir.wait_for("the log says: " + words, is_said)
    weir.expect(not suite.lines("bridge_connected"), "it is connected")
    weir.wait_for("weirctl why says it", lambda: words in why(suite))


def proofs(tap, ca):
    with TlsMosquitto(files(ca)) as remote:
        url = "mqtts://localhost:%d" % remote.tls_port
        trust = {"ca_file": ca.path("ca.pem")}
        with tap.case("messages go both ways over TLS"):
            with weir.Weir(bridges=[bridge(url=url, tls=trust)]) as suite:
                carries(suite, remote)

        with tap.case("the same in MQTT 3.1.1, with TLS 1.3 alone and an address"):
            more = dict(trust, min_version="1.3", server_name="localhost")
            there = "mqtts://127.0.0.1:%d" % remote.tls_port
            with weir.Weir(
                bridges=[bridge(url=there, tls=more, protocol="3.1.1")]
            ) as suite:
                carries(suite, remote)

        with tap.case("an unknown authority is refused, and why says what to set"):
            with weir.Weir(bridges=[bridge(url=url)]) as suite:
                fails(suite, "set ca_file to the certificate of its authority")

        with tap.case("another name is refused"):
            with weir.Weir(
                bridges=[bridge(url=url, tls=dict(trust, server_name="example.org"))]
            ) as suite:
                fails(suite, "set server_name")

        with tap.case("insecure takes it all the same, and is spoken of"):
            with weir.Weir(
                bridges=[bridge(url=url, tls={"insecure": True})]
            ) as suite:
                carries(suite, remote)
                weir.expect(suite.lines("bridge_insecure"), "no warning")

        with tap.case("a file that is not there is named"):
            with weir.Weir(
                bridges=[bridge(url=url, tls={"ca_file": "/nowhere.pem"})]
            ) as suite:
                fails(suite, "/nowhere.pem: No such file")

        with tap.case("TLS towards a port without it is told"):
            plain = "mqtts://localhost:%d" % remote.port
            with weir.Weir(bridges=[bridge(url=plain, tls=trust)]) as suite:
                fails(suite, "does this port speak TLS?")


def client_proofs(tap, ca, folder):
    ca.make("bridge", "DNS:bridge")
    with TlsMosquitto(files(ca), "require_certificate true\n") as remote:
        url = "mqtts://localhost:%d" % remote.tls_port
        trust = {"ca_file": ca.path("ca.pem")}
        with tap.case("our own certificate is shown when it is asked for"):
            own = dict(trust, cert=ca.path("bridge.pem"), key=ca.path("bridge.key"))
            with weir.Weir(bridges=[bridge(url=url, tls=own)]) as suite:
                carries(suite, remote)

        with tap.case("without one, why says to set cert and key"):
            with weir.Weir(bridges=[bridge(url=url, tls=trust)]) as suite:
                fails(suite, "set cert and key")

    keys = os.path.join(folder, "keys")
    with open(keys, "w") as f:
        f.write("pump:00112233445566778899aabbccddeeff\n")
    os.chmod(keys, 0o644)
    for name, text in (("good", "00112233445566778899aabbccddeeff"), ("bad", "00" * 16)):
        with open(os.path.join(folder, name), "w") as f:
            f.write(text + "\n")
        os.chmod(os.path.join(folder, name), 0o600)
    with TlsMosquitto("psk_hint weir\npsk_file %s\n" % keys) as remote:
        url = "mqtts://localhost:%d" % remote.tls_port

        def psk(name):
            return {"psk_identity": "pump", "psk_file": os.path.join(folder, name)}

        with tap.case("a pre-shared key takes the place of certificates"):
            with weir.Weir(bridges=[bridge(url=url, tls=psk("good"))]) as suite:
                carries(suite, remote)

        with tap.case("a wrong one does not"):
            with weir.Weir(bridges=[bridge(url=url, tls=psk("bad"))]) as suite:
                fails(suite, "TLS")


def web(tap, ca):
    with weir.Mosquitto() as remote:
        with websocket_proxy.WebSocketProxy(remote.port) as proxy:
            url = "ws://127.0.0.1:%d" % proxy.port
            with tap.case("messages go both ways over WebSocket"):
                with weir.Weir(bridges=[bridge(url=url)]) as suite:
                    carries(suite, remote, 200)
                    big = "x" * 200000
                    far = weir.Mqtt(remote.port, "far")
                    far.subscribe("up/#", 1)
                    weir.expect(suite.publish("up/big", big) == 200, "status")
                    weir.expect(far.receive().payload == big.encode(), "payload")
                    far.close()
                weir.expect(not proxy.faults, proxy.faults)
                weir.expect(proxy.pongs > 0, "no pong")

            with tap.case("a path that is not there is told with its status"):
                with weir.Weir(bridges=[bridge(url=url + "/other")]) as suite:
                    fails(suite, "404 Not Found")

        with tap.case("a frame that is none is told, and harms the bridge alone"):
            with websocket_proxy.WebSocketProxy(
                remote.port, rude=b"\x81\x02hi"
            ) as proxy:
                with weir.Weir(
                    bridges=[bridge(url="ws://127.0.0.1:%d" % proxy.port)]
                ) as suite:
                    fails(suite, "WebSocket: a text frame")
                    weir.expect(suite.publish("else", "x") == 200, "status")

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(ca.path("server.pem"), ca.path("server.key"))
        with tap.case("the same over TLS, with a path"):
            with websocket_proxy.WebSocketProxy(
                remote.port, context, "/a/b?c=d"
            ) as proxy:
                there = "wss://localhost:%d/a/b?c=d" % proxy.port
                trust = {"ca_file": ca.path("ca.pem")}
                with weir.Weir(bridges=[bridge(url=there, tls=trust)]) as suite:
                    carries(suite, remote, 200)
                weir.expect(not proxy.faults, proxy.faults)

        with tap.case("a port that speaks something else is told"):
            with weir.Weir(
                bridges=[bridge(url="ws://127.0.0.1:%d" % remote.port)]
            ) as suite:
                fails(suite, "WebSocket")


def lost_and_found(tap, ca):
    with tap.case("nothing is lost while a remote with TLS is killed and comes back"):
        with TlsMosquitto(files(ca), "persistence false\n") as remote:
            url = "mqtts://localhost:%d" % remote.tls_port
            with weir.Weir(
                bridges=[bridge(url=url, tls={"ca_file": ca.path("ca.pem")})]
            ) as suite:
                carries(suite, remote)
                remote.kill()
                for number in range(50):
                    weir.expect(suite.publish("up/n", "k%d" % number) == 200, "200")
                before = len(suite.lines("bridge_connected"))
                # It forgets its sessions: hold the bridge off until one is there.
                bridged = suite.pid("weir-bridged")
                weir.kill(bridged, weir.signal.SIGSTOP)
                remote.start()
                far = weir.Mqtt(remote.port, "far")
                far.subscribe("up/#", 1)
                weir.kill(bridged, weir.signal.SIGCONT)
                weir.wait_for(
                    "the bridge is back",
                    lambda: len(suite.lines("bridge_connected")) > before,
                )
                got = []
                while "k49" not in got:
                    got.append(far.receive().payload.decode())
                want = ["k%d" % n for n in range(50)]
                weir.expect([g for g in got if g in want] == want, got)
                far.close()


def several(tap):
    dead = weir.free_port()
    with weir.Mosquitto() as one, weir.Mosquitto() as two:
        urls = ["mqtt://127.0.0.1:%d" % port for port in (dead, two.port)]
        with tap.case("an address that is dead is left for the next"):
            with weir.Weir(bridges=[bridge(urls=urls)]) as suite:
                carries(suite, two)
                line = suite.lines("bridge_connected")[0]
                weir.expect(urls[1] in line, line)

        with tap.case("failover: one dies, the other takes over, and back again"):
            urls = ["mqtt://127.0.0.1:%d" % remote.port for remote in (one, two)]
            with weir.Weir(
                bridges=[bridge(urls=urls, primary_retry="200ms")]
            ) as suite:

                def connected(count, url):
                    def is_so():
                        lines = suite.lines("bridge_connected")
                        return len(lines) >= count and url in lines[-1]

                    weir.wait_for("connection to " + url, is_so)

                connected(1, urls[0])
                one.kill()
                connected(2, urls[1])
                far = weir.Mqtt(two.port, "far")
                far.subscribe("up/#", 1)
                weir.expect(suite.publish("up/a", "over") == 200, "status")
                weir.expect(far.receive().payload == b"over", "payload")
                far.close()
                one.start()
                connected(3, urls[0])
                far = weir.Mqtt(one.port, "far")
                far.subscribe("up/#", 1)
                weir.expect(suite.publish("up/a", "back") == 200, "status")
                weir.expect(far.receive().payload == b"back", "payload")
                far.close()

        with tap.case("round robin goes to the next with each connection"):
            with weir.Weir(
                bridges=[bridge(urls=urls, urls_order="round_robin")]
            ) as suite:
                weir.wait_for("the first", lambda: suite.lines("bridge_connected"))
                one.kill()
                weir.wait_for(
                    "the second", lambda: len(suite.lines("bridge_connected")) == 2
                )
                one.start()
                two.kill()
                weir.wait_for(
                    "the first again",
                    lambda: len(suite.lines("bridge_connected")) == 3,
                )
                lines = suite.lines("bridge_connected")
                ports = [urls[0], urls[1], urls[0]]
                weir.expect(
                    all(url in line for url, line in zip(ports, lines)), lines
                )
                two.start()


def steps(suite, name="cloud", *more):
    """Exit status, and [(step, ok, detail)] of each address."""
    done = subprocess.run(
        [weir.program("weirctl"), "bridge", "test", name, "--json", "-c",
         suite.config, *more],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, text=True,
    )  # fmt: skip
    answer = json.loads(done.stdout)
    weir.expect(answer["bridge"] == name, answer)
    return done.returncode, [
        [(s["step"], s["ok"], s["detail"]) for s in remote["steps"]]
        for remote in answer["remotes"]
    ]


def tests(tap, ca):
    trust = {"ca_file": ca.path("ca.pem")}
    with TlsMosquitto(files(ca)) as remote:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(ca.path("server.pem"), ca.path("server.key"))
        with websocket_proxy.WebSocketProxy(remote.port, context) as proxy:
            urls = [
                "mqtt://localhost:%d" % remote.port,
                "mqtts://localhost:%d" % remote.tls_port,
                "wss://localhost:%d" % proxy.port,
            ]
            with weir.Weir(bridges=[bridge(urls=urls, tls=trust)]) as suite:
                weir.wait_for("connected", lambda: suite.lines("bridge_connected"))
                far = weir.Mqtt(remote.port, "far")
                far.subscribe("weir/test/#", 1)
                with tap.case("bridge test passes all steps to all addresses"):
                    code, got = steps(suite)
                    names = [[step for step, _, _ in one] for one in got]
                    end = ["CONNACK", "publish"]
                    weir.expect(
                        names
                        == [
                            ["DNS", "TCP"] + end,
                            ["DNS", "TCP", "TLS"] + end,
                            ["DNS", "TCP", "TLS", "WebSocket"] + end,
                        ],
                        got,
                    )
                    weir.expect(all(ok for one in got for _, ok, _ in one), got)
                    weir.expect(code == 0, code)
                    weir.expect("TLSv1.3" in got[1][2][2], got[1][2])
                    for _ in urls:
                        weir.expect(far.receive().topic == "weir/test/cloud", "topic")
                with tap.case("the bridge that runs was not disturbed by it"):
                    weir.expect(len(suite.lines("bridge_connected")) == 1, "again")
                    weir.expect(not suite.lines("bridge_disconnected"), "lost")
                with tap.case("as text, with a topic of one's own"):
                    text = suite.ctl("bridge", "test", "cloud", "-t", "weir/test/x")
                    weir.expect(text.count("acknowledged") == 3, text)
                    weir.expect(far.receive().topic == "weir/test/x", "topic")
                with tap.case("a name that is none is refused"):
                    done = subprocess.run(
                        [weir.program("weirctl"), "bridge", "test", "no", "-c",
                         suite.config],
                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20,
                        text=True,
                    )  # fmt: skip
                    weir.expect(done.returncode == 78, done)
                    weir.expect('no bridge "no"' in done.stderr, done.stderr)
                far.close()

        def failing(name, step, words, **more):
            with tap.case("bridge test says " + name):
                with weir.Weir(bridges=[bridge(**more)]) as suite:
                    code, got = steps(suite)
                    weir.expect(code == 1, code)
                    last = got[0][-1]
                    weir.expect(last[0] == step and not last[1], got)
                    weir.expect(words in last[2], last)
                    weir.expect(all(ok for _, ok, _ in got[0][:-1]), got)

        dead = "mqtt://127.0.0.1:%d" % weir.free_port()
        failing("that nobody listens", "TCP", "Connection refused", url=dead)
        failing("that a certificate is unknown", "TLS", "set ca_file", url=urls[1])
        with tap.case("bridge test says that the remote does not acknowledge"):
            more = {"url": urls[0], "connect_timeout": "1s"}
            with weir.Weir(bridges=[bridge(**more)]) as suite:
                weir.wait_for("connected", lambda: suite.lines("bridge_connected"))
                remote.stop()
                try:
                    code, got = steps(suite)
                finally:
                    remote.go_on()
                weir.expect(code == 1 and not got[0][-1][1], got)
                weir.expect("within connect_timeout" in got[0][-1][2], got)


def own_end(tap):
    with weir.Mosquitto() as remote:
        with tap.case("bind_address is where connections come from"):
            with weir.Weir(
                bridges=[
                    bridge(
                        url="mqtt://127.0.0.1:%d" % remote.port,
                        bind_address="127.0.0.77",
                        tcp_user_timeout="20s",
                    )
                ]
            ) as suite:
                carries(suite, remote)
                with open(remote.log, errors="replace") as f:
                    weir.expect("127.0.0.77" in f.read(), "another address")

        with tap.case("one that is not ours is named"):
            with weir.Weir(
                bridges=[
                    bridge(
                        url="mqtt://127.0.0.1:%d" % remote.port,
                        bind_address="192.0.2.1",
                    )
                ]
            ) as suite:
                fails(suite, "bind_address 192.0.2.1")


def main():
    tap = weir.Tap()
    folder = tempfile.mkdtemp(prefix="weir-t-")
    try:
        ca = certificates.Authority(folder)
        ca.make("server", NAMES)
        proofs(tap, ca)
        client_proofs(tap, ca, folder)
        web(tap, ca)
        lost_and_found(tap, ca)
        several(tap)
        tests(tap, ca)
        own_end(tap)
    except weir.Skip as reason:
        with tap.case("bridges over TLS"):
            raise weir.Skip(reason)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    tap.done()


if __name__ == "__main__":
    main()
