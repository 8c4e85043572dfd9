#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""Listeners of TLS: who is proved and how, what goes wrong, what is reloaded."""

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time

import certificates
import websocket_client
import weir

NAMES = "DNS:localhost,IP:127.0.0.1"
LOOPBACK = "127.0.0.1"


def trusting(ca, cert=None, version=None):
    context = ssl.create_default_context(cafile=ca.path("ca.pem"))
    if cert is not None:
        context.load_cert_chain(ca.path(cert + ".pem"), ca.path(cert + ".key"))
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context


class Secure(weir.Mqtt):
    """An MQTT connection over TLS; `extra` goes out together with CONNECT."""

    def __init__(
        self, port, client_id, context, session=None, name="localhost",
        username=None, password=None, extra=b"", host=LOOPBACK, version=4,
        properties=b"",
    ):  # fmt: skip
        super().__init__(port, client_id, version, connect=False, host=host)
        try:
            self.sock = context.wrap_socket(
                self.sock, server_hostname=name, session=session
            )
            self.send(
                self.connect_packet(
                    client_id, True, 60, username, password, None, properties
                )
                + extra
            )
            self.connack = self.expect(weir.CONNACK)
        except BaseException:
            self.sock.close()
            raise


def is_refused(port, context, client_id="nobody", **more):
    """Closed, or answered with an error, before it is a client."""
    try:
        client = Secure(port, client_id, context, **more)
    except (OSError, EOFError):
        return True
    client.sock.close()
    return client.return_code != 0


class Suite(weir.Weir):
    """Listeners: plain, tls, mutual (with user names), psk; 4 workers."""

    def __init__(self, ca, **keys):
        self.ca = ca
        names = ("tls", "mutual", "psk")
        self.ports = {name: weir.free_port() for name in names}
        plain = weir.free_port()
        own = {"cert": ca.path("server.pem"), "key": ca.path("server.key")}
        groups = {
            "tls": dict(
                own,
                sni=[
                    {
                        "name": "*.plant.example",
                        "cert": ca.path("plant.pem"),
                        "key": ca.path("plant.key"),
                    }
                ],
            ),
            "mutual": dict(
                own,
                ca_file=ca.path("ca.pem"),
                crl_file=ca.path("crl.pem"),
                user_name_from="cn",
            ),
            "psk": {"psk_file": ca.path("keys"), "user_name_from": "psk"},
        }
        keys.setdefault("workers", 4)
        super().__init__(
            mqtt_port=plain,
            listeners=[{"bind": "127.0.0.1:%d" % plain}]
            + [
                {"bind": "127.0.0.1:%d" % self.ports[name], "tls": groups[name]}
                for name in names
            ],
            accounts=[
                {"name": "admin", "password": "public"},
                {"name": "pump"},
                {"name": "fan", "password": "secret"},
            ],
            **keys,
        )

    def secure(self, client_id, **more):
        return Secure(self.ports["tls"], client_id, trusting(self.ca), **more)

    def reload(self):
        """SIGHUP, and wait until all of it was read."""
        done = len(self.lines("reloaded"))
        os.kill(self.pid("weir-broker"), signal.SIGHUP)
        weir.wait_for("the reload", lambda: len(self.lines("reloaded")) > done)

    def user_of(self, client_id):
        found = self.http("GET", "/api/v4/clients/" + client_id)[2]
        return json.loads(found)["data"][0]["username"]

    def serial(self, name="localhost"):
        """Of the certificate that a new connection is shown."""
        context = trusting(self.ca)
        with socket.create_connection((LOOPBACK, self.ports["tls"]), 10) as sock:
            with context.wrap_socket(sock, server_hostname=name) as tls:
                return tls.getpeercert()["serialNumber"]


# ---------------------------------------------------------------- clients


def mosquitto(tool, *words):
    if shutil.which(tool) is None:
        raise weir.Skip(tool + " is not installed")
    return subprocess.run(
        [tool, "-h", "localhost", *words],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        timeout=20, encoding="utf-8",
    )  # fmt: skip


def clients(tap, suite):
    ca, ports = suite.ca, suite.ports

    def is_published(port, *words):
        sub = suite.mqtt("s-%d" % random.getrandbits(30))
        sub.subscribe("m/#", 1)
        done = mosquitto(
            "mosquitto_pub", "-p", str(port), "-t", "m/t", "-m", "x", "-q", "1", *words
        )
        weir.expect(done.returncode == 0, done.stdout)
        weir.expect(sub.receive().payload == b"x", "another payload")
        sub.close()

    with tap.case("mosquitto_pub publishes by TLS"):
        is_published(ports["tls"], "--cafile", ca.path("ca.pem"))
        is_published(
            ports["tls"], "--cafile", ca.path("ca.pem"), "--tls-version", "tlsv1.2"
        )

    with tap.case("mosquitto_sub receives by TLS what was kept"):
        suite.mqtt("p").publish("kept", "here", 1, retain=True)
        done = mosquitto(
            "mosquitto_sub", "-p", str(ports["tls"]), "--cafile", ca.path("ca.pem"),
            "-t", "kept", "-C", "1",
        )  # fmt: skip
        weir.expect(done.stdout == "here\n", done.stdout)

    with tap.case("mosquitto_pub with a certificate is the account of its name"):
        own = ("--cert", ca.path("pump.pem"), "--key", ca.path("pump.key"))
        is_published(ports["mutual"], "--cafile", ca.path("ca.pem"), *own)

    with tap.case("mosquitto_pub with a pre-shared key"):
        key = ("--psk-identity", "pump", "--psk", "0102030405060708090a")
        is_published(ports["psk"], *key)
        is_published(ports["psk"], *key, "--tls-version", "tlsv1.2")
        wrong = ("--psk-identity", "pump", "--psk", "0102030405060708090b")
        done = mosquitto(
            "mosquitto_pub", "-p", str(ports["psk"]), "-t", "m/t", "-m", "x", *wrong
        )
        weir.expect(done.returncode != 0, "it was let in")


def weirctl(tap, suite):
    ca = suite.ca
    trust = ("--cafile", ca.path("ca.pem"))

    with tap.case("weirctl finds the listener of TLS, and publishes by it"):
        sub = suite.mqtt("ctl-sub")
        sub.subscribe("ctl/#", 1)
        suite.ctl("pub", "-t", "ctl/a", "-m", "by TLS", "-q", "1", *trust)
        weir.expect(sub.receive().payload == b"by TLS", "another payload")
        suite.ctl("pub", "-t", "ctl/a", "-m", "plain", "-q", "1")
        weir.expect(sub.receive().payload == b"plain", "another payload")

    with tap.case("weirctl proves itself by a certificate or a shared key"):
        suite.ctl(
            "pub", "-p", str(suite.ports["mutual"]), "-t", "ctl/b", "-m", "x",
            "-q", "1", "--cert", ca.path("pump.pem"), "--key", ca.path("pump.key"),
            *trust,
        )  # fmt: skip
        weir.expect(sub.receive().topic == "ctl/b", "another topic")
        with open(ca.path("key"), "w") as f:
            f.write("0102030405060708090a\n")
        os.chmod(ca.path("key"), 0o600)
        suite.ctl(
            "pub", "-p", str(suite.ports["psk"]), "-t", "ctl/c", "-m", "x", "-q", "1",
            "--psk-identity", "pump", "--psk-file", ca.path("key"),
        )  # fmt: skip
        weir.expect(sub.receive().topic == "ctl/c", "another topic")

    with tap.case("weirctl says what is wrong with TLS"):

        def complaint(text, *words):
            done = subprocess.run(
                [weir.program("weirctl"), "pub", "-t", "t", "-m", "x", *words],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, timeout=20, text=True,
            )  # fmt: skip
            weir.expect(done.returncode != 0, "it was content")
            weir.expect(text in done.stdout, done.stdout)

        port = ("-p", str(suite.ports["tls"]))
        complaint("set ca_file to the certificate", "--tls", *port)
        complaint("does this port speak TLS", "-p", str(suite.port), *trust)
        complaint("No such file", "--cafile", "/nowhere.pem", *port)
        complaint("key is missing", "--cert", ca.path("pump.pem"), *port)


def names(tap, suite):
    ca, mutual = suite.ca, suite.ports["mutual"]

    with tap.case("a certificate's name is the user name; CONNECT's is not asked"):
        client = Secure(
            mutual, "c1", trusting(ca, "pump"), username="admin", password="wrong"
        )
        weir.expect(client.return_code == 0, client.connack)
        weir.expect(suite.user_of("c1") == "pump", suite.user_of("c1"))
        client.close()

    with tap.case("no certificate, a stranger's, and no account are refused"):
        weir.expect(is_refused(mutual, trusting(ca)), "none")
        stranger = trusting(ca)
        stranger.load_cert_chain(ca.path("alien.pem"), ca.path("alien.key"))
        weir.expect(is_refused(mutual, stranger), "a stranger's")
        client = Secure(mutual, "c2", trusting(ca, "nobody"))
        weir.expect(client.return_code == 5, client.connack)
        weir.wait_for("the line", lambda: suite.lines("proven_name_refused"))
        line = suite.lines("proven_name_refused")[0]
        weir.expect('name="nobody"' in line and "accounts_file" in line, line)

    with tap.case("who has an account by a certificate gets no other by SCRAM"):
        method = b"\x15" + weir.mqtt_string("SCRAM-SHA-256")
        first = b"\x16" + weir.mqtt_string("n,,n=admin,r=abcdefghijklmnop")
        for cert, reason in (("pump", 0x8C), ("nobody", 0x87)):
            client = Secure(
                mutual, "c4", trusting(ca, cert), version=5,
                properties=method + first,
            )  # fmt: skip
            weir.expect(client.connack[1] == reason, client.connack)
            client.sock.close()

    with tap.case("an account without a password is opened by none"):
        for password in ("", "*", "pump"):
            client = weir.Mqtt(
                suite.port, "c3", username="pump", password=password
            )
            weir.expect(client.return_code in (4, 5), client.connack)
            client.sock.close()

    with tap.case("a name of SNI has its own certificate"):
        weir.expect(suite.serial("a.plant.example") != suite.serial(), "the same")


# --------------------------------------------------------------- hand-over


def handover(tap, suite):
    context = trusting(suite.ca)
    port = suite.ports["tls"]

    def bulk(i):
        """What may come with CONNECT: more than a worker reads at a time."""
        subscribe = struct.pack(">H", 7) + weir.mqtt_string("own/%d" % i) + b"\1"
        return weir.packet(weir.SUBSCRIBE, 2, subscribe) + b"".join(
            weir.publish_packet("own/%d" % i, b"%d:" % n + b"x" * 6000, 1, n + 10)
            for n in range(25)
        )

    def try_one(i, faults):
        try:
            client = Secure(port, "h-%d" % i, context, extra=bulk(i))
            client.expect(weir.SUBACK)
            want = {b"%d" % n for n in range(25)}
            acknowledged = 0
            while want or acknowledged < 25:
                kind, flags, body = client.read()
                if kind == weir.PUBACK:
                    acknowledged += 1
                    continue
                message = weir.Message(flags, body, 4)
                want.remove(message.payload.split(b":")[0])
                client.send(
                    weir.packet(weir.PUBACK, 0, struct.pack(">H", message.id))
                )
            client.close()
        except Exception as error:
            faults.append("%d: %r" % (i, error))

    with tap.case("a connection goes to its worker with all that it has sent"):
        before = suite.metric("handovers_total")
        faults = []
        threads = [
            threading.Thread(target=try_one, args=(i, faults)) for i in range(24)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        weir.expect(not faults, faults)
        moved = suite.metric("handovers_total") - before
        # Of 24 about 18 belong to another worker than the one that accepted.
        weir.expect(moved > 0, "none of them moved")


# --------------------------------------------------------------- resumption


def resumption(tap, suite):
    ca, port = suite.ca, suite.ports["tls"]

    def take(context, session=None, client_id="r"):
        """Connect, take a message so that the ticket is read; the session."""
        client = Secure(port, client_id, context, session)
        client.subscribe("r", 0)
        used, given = client.sock.session_reused, client.sock.session
        client.close()
        return used, given

    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        with tap.case("sessions are resumed by any worker: " + version.name):
            context = trusting(ca, version=version)
            used, session = take(context)
            weir.expect(not used, "the first one")
            for i in range(8):
                used, session = take(context, session, "r-%d" % i)
                weir.expect(used, "number %d was not" % i)

        with tap.case("and after a reload with a new certificate: " + version.name):
            old = suite.serial()
            ca.make("server", NAMES)
            suite.reload()
            weir.expect(suite.serial() != old, "the old certificate")
            used, session = take(context, session)
            weir.expect(used, "it was not resumed")

    with tap.case("openssl s_client resumes"):
        folder = tempfile.mkdtemp(prefix="weir-s-")
        try:
            file = os.path.join(folder, "session")
            base = [
                "openssl", "s_client", "-connect", "127.0.0.1:%d" % port,
                "-CAfile", ca.path("ca.pem"), "-verify_return_error", "-tls1_2",
            ]  # fmt: skip
            for words, expected in (
                (["-sess_out", file], "New, "),
                (["-sess_in", file], "Reused, "),
            ):
                done = subprocess.run(
                    base + words, input=b"", stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT, timeout=20,
                )  # fmt: skip
                text = done.stdout.decode(errors="replace")
                weir.expect(expected in text, text)
        finally:
            shutil.rmtree(folder)
        weir.expect(suite.metric("tls_resumed_total") > 0, "not counted")


# ------------------------------------------------------------------ reload


def reloads(tap, suite):
    ca, mutual = suite.ca, suite.ports["mutual"]
    ends = []

    with tap.case("who is revoked is refused after SIGHUP, and nobody is dropped"):
        context = trusting(ca, "fan")
        staying = Secure(mutual, "fan-1", context)
        weir.expect(staying.return_code == 0, staying.connack)
        session = staying.sock.session
        ca.crl("crl.pem", "fan")
        suite.reload()
        weir.expect(is_refused(mutual, context), "the revoked was let in")
        weir.expect(
            is_refused(mutual, context, session=session), "let in by its ticket"
        )
        staying.ping()
        staying.close()
        weir.expect(not is_refused(mutual, trusting(ca, "pump"), "p2"), "the other")
        weir.wait_for("the log says it", lambda: suite.logged("certificate revoked"))

    with tap.case("reloads under traffic drop nobody and lose nothing"):
        sub = suite.secure("flow-sub")
        sub.subscribe("flow", 1)
        pub = suite.secure("flow-pub")

        def publish():
            for n in range(300):
                if n % 60 == 30:
                    ca.make("server", NAMES)
                    os.kill(suite.pid("weir-broker"), signal.SIGHUP)
                pub.publish("flow", b"%d" % n, 1)
                if n % 60 == 50:
                    suite.reload()
            ends.append(True)

        thread = threading.Thread(target=publish)
        thread.start()
        for n in range(300):
            weir.expect(sub.receive().payload == b"%d" % n, "another message")
        thread.join()
        weir.expect(ends, "the publisher failed")
        sub.close()
        pub.close()

    with tap.case("wrong files keep the old ones and say why"):
        old = suite.serial()
        good = {f: open(ca.path(f)).read() for f in ("server.pem", "keys", "crl.pem")}
        for file in good:
            with open(ca.path(file), "w") as f:
                f.write("nonsense\n")
        suite.reload()
        weir.expect(len(suite.lines("certificate_kept")) == 3, "lines in the log")
        text = "".join(suite.lines("certificate_kept"))
        weir.expect(ca.path("server.pem") in text, text)
        weir.expect("must be identity:key" in text, text)
        weir.expect("nonsense" not in text, text)
        weir.expect(suite.serial() == old, "another certificate")
        for file, contents in good.items():
            with open(ca.path(file), "w") as f:
                f.write(contents)
        os.chmod(ca.path("keys"), 0o600)
        weir.expect(not is_refused(mutual, trusting(ca, "pump"), "p3"), "refused")

    with tap.case("a key that is taken away opens nothing after SIGHUP"):
        shutil.copy(ca.path("keys"), ca.path("keys.old"))
        with open(ca.path("keys"), "w") as f:
            f.write("other:ffffffffffffffff\n")
        suite.reload()
        key = ("--psk-identity", "pump", "--psk", "0102030405060708090a")
        done = mosquitto(
            "mosquitto_pub", "-p", str(suite.ports["psk"]), "-t", "m", "-m", "x", *key
        )
        weir.expect(done.returncode != 0, "it was let in")

    with tap.case("status and metrics tell how long certificates are good"):
        weir.expect(28 <= suite.metric("tls_certificate_days") <= 30, "days")
        status = json.loads(suite.ctl("status", "--json"))
        mine = [s for s in status["listeners"] if s["tls"]]
        weir.expect(len(mine) == 3, status["listeners"])
        weir.expect(28 <= mine[0]["certificate_days_left"] <= 30, mine)
        weir.expect(7 <= mine[1]["crl_days_left"] <= 9, mine)
        weir.expect("certificate ends in" in suite.ctl("status"), "text")


# ------------------------------------------------------------ what goes wrong


def connections(suite, listener):
    status = json.loads(suite.ctl("status", "-j"))
    return status["listeners"][listener]["connections"]


def send_and_close(port, data):
    with contextlib.suppress(OSError):
        with socket.create_connection((LOOPBACK, port), 10) as sock:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            sock.settimeout(10)
            while sock.recv(4096):
                pass


def client_hello(context):
    """The first bytes of a handshake."""
    inward, outward = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(inward, outward, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outward.read()


def hostile(tap, suite):
    port = suite.ports["tls"]
    hello = client_hello(trusting(suite.ca))
    dice = random.Random(7)

    def is_served():
        began = time.monotonic()
        suite.secure("next").close()
        return time.monotonic() - began

    with tap.case("changed and cut handshakes are closed; the next is served"):
        before = suite.metric("connections_failed_total")
        for _ in range(150):
            bad = bytearray(hello)
            for _ in range(dice.randrange(1, 6)):
                bad[dice.randrange(len(bad))] = dice.randrange(256)
            send_and_close(port, bytes(bad[: dice.randrange(1, len(bad) + 1)]))
        for _ in range(50):
            send_and_close(port, dice.randbytes(dice.randrange(1, 300)))
        weir.expect(is_served() < 5, "the next client waited")
        weir.expect(
            suite.metric("connections_failed_total") - before > 100, "not counted"
        )
        lines = suite.lines("connection_failed") + suite.lines("connections_failed")
        # 4 workers, 16 reasons each, and sums.
        weir.expect(len(lines) < 80, "%d lines in the log" % len(lines))

    with tap.case("a hundred half handshakes keep nobody waiting"):
        half = []
        for i in range(100):
            sock = socket.create_connection((LOOPBACK, port), 10)
            sock.sendall(hello[: dice.randrange(1, len(hello))])
            half.append(sock)
        weir.expect(is_served() < 5, "the next client waited")
        for sock in half:
            sock.close()

    with tap.case("who connects and leaves without a byte is no failure"):
        weir.wait_for("all are gone", lambda: connections(suite, 1) == 0)
        before = suite.metric("connections_failed_total")
        for _ in range(5):
            send_and_close(port, b"")
        weir.expect(is_served() < 5, "the next client waited")
        weir.expect(suite.metric("connections_failed_total") == before, "counted")


def mixed_up(tap, ca):
    """A suite of its own: each listener's first failure is told at once."""
    with Suite(ca, connect_timeout="1s") as suite:
        with tap.case("MQTT in the clear on a port of TLS is told"):
            try:
                client = weir.Mqtt(suite.ports["tls"], "plain")
                client.sock.close()
                raise AssertionError("it was answered")
            except (EOFError, OSError):
                pass
            weir.wait_for("the log", lambda: suite.lines("connection_failed"))
            line = suite.lines("connection_failed")[0]
            weir.expect("speaks MQTT without TLS" in line, line)
            weir.expect("address=127.0.0.1:" in line, line)

        with tap.case("TLS on a port in the clear is told"):
            weir.expect(is_refused(suite.port, trusting(ca)), "answered")
            weir.wait_for("the log", lambda: len(suite.lines("connection_failed")) > 1)
            line = suite.lines("connection_failed")[1]
            weir.expect("the client speaks TLS, this listener does not" in line, line)

        with tap.case("a client without a certificate is told what to set"):

            # On a busy machine connect_timeout may be sooner.
            def is_told():
                weir.expect(is_refused(suite.ports["mutual"], trusting(ca)), "let in")
                return suite.logged("client_cert to optional")

            weir.wait_for("the log", is_told)

        with tap.case("who makes no handshake is closed at connect_timeout"):
            sock = socket.create_connection((LOOPBACK, suite.ports["psk"]), 10)
            weir.expect(sock.recv(1) == b"", "it spoke")
            sock.close()
            weir.wait_for(
                "the log", lambda: suite.logged("no handshake within connect_timeout")
            )


# ------------------------------------------------------------- other suites


def limits(tap, ca):
    tls = {"cert": ca.path("server.pem"), "key": ca.path("server.key")}
    plain, four, six = (weir.free_port() for _ in range(3))
    listeners = [
        {"bind": "127.0.0.1:%d" % plain},
        {"bind": "127.0.0.1:%d" % four, "tls": tls, "max_connections": 3},
        {"bind": "[::1]:%d" % six, "tls": dict(tls, min_version="1.3")},
    ]
    with weir.Weir(mqtt_port=plain, listeners=listeners) as suite:
        with tap.case("max_connections of a listener holds, handshakes or not"):
            first = Secure(four, "l1", trusting(ca))
            half = socket.create_connection((LOOPBACK, four), 10)
            silent = socket.create_connection((LOOPBACK, four), 10)
            # Workers accept by themselves: what comes later may be in earlier.
            weir.wait_for("three", lambda: connections(suite, 1) == 3)
            weir.expect(is_refused(four, trusting(ca)), "the fourth was let in")
            first.ping()
            half.close()
            weir.wait_for("room", lambda: not is_refused(four, trusting(ca), "l2"))
            silent.close()
            first.close()

        with tap.case("IPv6 speaks TLS, and is apart from IPv4"):
            if not socket.has_ipv6:
                raise weir.Skip("there is no IPv6")
            sub = Secure(six, "six", trusting(ca), host="::1")
            weir.expect(sub.return_code == 0, sub.connack)
            sub.subscribe("six", 0)
            suite.mqtt("four").publish("six", "hello")
            weir.expect(sub.receive().payload == b"hello", "another payload")
            sub.close()
            try:
                socket.create_connection((LOOPBACK, six), 5).close()
                raise AssertionError("IPv4 was let in")
            except OSError:
                pass


PROXY = b"\r\n\r\n\0\r\nQUIT\n"


def proxied(port, context, client, name):
    """MQTT in TLS behind the header of a proxy, which says who it is."""
    sock = socket.create_connection((LOOPBACK, port), 10)
    addresses = socket.inet_aton(client) + socket.inet_aton("198.51.100.1")
    addresses += struct.pack(">HH", 4711, 8883)
    sock.sendall(PROXY + b"\x21\x11" + struct.pack(">H", len(addresses)) + addresses)
    tls = context.wrap_socket(sock, server_hostname="localhost")
    return weir.Mqtt(port, name, sock=tls)


def stacked(tap, ca):
    """TLS with something above it, or before it; 4 workers."""
    own = {
        "cert": ca.path("server.pem"),
        "key": ca.path("server.key"),
        "ca_file": ca.path("ca.pem"),
        "user_name_from": "cn",
    }
    plain, web, proxy = (weir.free_port() for _ in range(3))
    listeners = [
        {"bind": "127.0.0.1:%d" % plain},
        {"bind": "127.0.0.1:%d" % web, "tls": own, "websocket": "/mqtt"},
        {"bind": "127.0.0.1:%d" % proxy, "tls": own, "proxy_protocol": True},
    ]
    accounts = [{"name": "admin", "password": "public"}, {"name": "pump"}]
    context = trusting(ca, "pump")

    def described(suite, client_id):
        found = suite.http("GET", "/api/v4/clients/" + client_id)[2]
        return json.loads(found)["data"][0]

    with weir.Weir(
        mqtt_port=plain, listeners=listeners, accounts=accounts, workers=4
    ) as suite:
        with tap.case("WebSocket over TLS moves between workers as well"):
            for i in range(12):
                raw = socket.create_connection((LOOPBACK, web), 10)
                tls = context.wrap_socket(raw, server_hostname="localhost")
                ws = websocket_client.WebSocket(sock=tls)
                client = weir.Mqtt(web, "w-%d" % i, sock=ws)
                weir.expect(client.return_code == 0, client.connack)
                client.subscribe("w/%d" % i, 1)
                big = b"%d" % i + b"x" * 70000
                client.publish("w/%d" % i, big, 0)
                weir.expect(client.receive().payload == big, "another payload")
                if i == 0:
                    weir.expect(
                        described(suite, "w-0")["username"] == "pump", "its name"
                    )
                client.close()

        with tap.case("a proxy's header comes before TLS and names the client"):
            for i in range(6):
                client = proxied(proxy, context, "203.0.113.9", "x-%d" % i)
                weir.expect(client.return_code == 0, client.connack)
                found = described(suite, "x-%d" % i)
                weir.expect(found["username"] == "pump", found)
                weir.expect(found["ip_address"] == "203.0.113.9", found)
                client.close()

        with tap.case("a fault in TLS behind a proxy is told of its client"):
            try:
                proxied(proxy, trusting(ca), "203.0.113.8", "nobody").close()
                raise AssertionError("it was let in")
            except (OSError, EOFError):
                pass
            weir.wait_for("the log", lambda: suite.lines("connection_failed"))
            line = suite.lines("connection_failed")[0]
            weir.expect("address=203.0.113.8:4711" in line, line)


def bridge(tap, ca):
    """Weir to Weir, by TLS with a certificate that is an account."""
    with Suite(ca, workers=1) as hub:
        remote = {
            "name": "hub",
            "type": "mqtt",
            "url": "mqtts://localhost:%d" % hub.ports["mutual"],
            "tls": {
                "ca_file": ca.path("ca.pem"),
                "cert": ca.path("pump.pem"),
                "key": ca.path("pump.key"),
            },
            "forward": [{"filter": "up/#", "qos": 1}],
            "receive": [{"filter": "down/#", "qos": 1}],
        }
        with weir.Weir(bridges=[remote]) as edge:
            with tap.case("a bridge crosses a listener of TLS both ways"):
                sub = hub.mqtt("hub-sub")
                sub.subscribe("up/#", 1)
                edge.mqtt("edge-pub").publish("up/a", "1", 1)
                weir.expect(sub.receive(20).payload == b"1", "another payload")
                back = edge.mqtt("edge-sub")
                back.subscribe("down/#", 1)

                def comes():
                    hub.mqtt("hub-pub").publish("down/a", "2", 1)
                    return not back.is_silent(0.5)

                weir.wait_for("a message comes down", comes)


def mistakes(tap, ca, folder):
    def complaint(tls, text, more=""):
        path = os.path.join(folder, "bad.conf")
        listener = {"bind": "127.0.0.1:1", "tls": tls}
        with open(path, "w") as f:
            f.write(weir.libconfig({"run_dir": folder, "listeners": [listener]}) + more)
        done = subprocess.run(
            [weir.program("weir-broker"), "-t", "-c", path],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20, text=True,
        )  # fmt: skip
        weir.expect(done.returncode == 78, "exit %d" % done.returncode)
        weir.expect(path + ":" in done.stderr, done.stderr)
        weir.expect(text in done.stderr, done.stderr)

    good = {"cert": ca.path("server.pem"), "key": ca.path("server.key")}
    with tap.case("-t names what is wrong with a listener's TLS"):
        complaint(dict(good, cert="/nowhere.pem"), "/nowhere.pem: No such file")
        complaint({}, "tls needs cert and key, or psk_file")
        complaint(dict(good, user_name_from="cn"), "it needs ca_file")
        complaint(
            dict(good, ca_file=ca.path("ca.pem"), user_name_from="cn"),
            "user_name_from needs accounts",
        )
        complaint(dict(good, psk_file=ca.path("server.pem")), "may be read by others")


def main():
    tap = weir.Tap()
    folder = tempfile.mkdtemp(prefix="weir-t-")
    try:
        ca = certificates.Authority(folder)
        ca.make("server", NAMES)
        ca.make("plant", "DNS:*.plant.example")
        for name in ("pump", "fan", "nobody"):
            ca.make(name, "DNS:" + name)
        certificates.Authority(folder, "foreign").make("alien", "DNS:pump")
        ca.crl("crl.pem")
        with open(ca.path("keys"), "w") as f:
            f.write("pump:0102030405060708090a\n")
        os.chmod(ca.path("keys"), 0o600)
        with Suite(ca) as suite:
            for part in (clients, weirctl, names, handover, resumption, reloads, hostile):
                tap.attempt(part, suite)
        ca.crl("crl.pem")
        shutil.copy(ca.path("keys.old"), ca.path("keys"))
        os.chmod(ca.path("keys"), 0o600)
        for part in (mixed_up, limits, stacked, bridge):
            tap.attempt(part, ca)
        mistakes(tap, ca, folder)
    except weir.Skip as reason:
        with tap.case("listeners of TLS"):
            raise weir.Skip(reason)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    tap.done()


if __name__ == "__main__":
    main()
