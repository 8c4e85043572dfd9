#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""HTTPS: who is proved, who is refused, and certificates changed on the way."""

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import warnings

import certificates
import weir

PUBLISH = "/api/v4/mqtt/publish"
NAMES = "DNS:localhost,IP:127.0.0.1"


class Suite(weir.Weir):
    """A Weir whose HTTP interface speaks TLS; self.context is the client's."""

    def __init__(self, context, tls, **more):
        self.context = context
        super().__init__(http=dict(more, tls=tls))

    def connect(self, context=None, auth="admin:public"):
        connection = weir.Http(self.http_port, auth)
        try:
            connection.sock = (context or self.context).wrap_socket(
                connection.sock, server_hostname="localhost"
            )
        except BaseException:
            connection.close()
            raise
        return connection

    def http(self, method, path, body=None, auth="admin:public", headers=None):
        try:
            connection = self.connect(auth=auth)
        except OSError:
            return 0, {}, ""
        try:
            return connection.request(method, path, body, headers)
        except (OSError, EOFError):
            return 0, {}, ""
        finally:
            connection.close()

    def serial(self):
        """Of the certificate that a new connection is shown."""
        connection = self.connect()
        try:
            return connection.sock.getpeercert()["serialNumber"]
        finally:
            connection.close()

    def reload(self):
        os.kill(self.pid("weir-httpd"), signal.SIGHUP)

    def count(self, name):
        text = self.http("GET", "/metrics")[2]
        for line in text.splitlines():
            if line.split(" ")[0].split("{")[0] == name:
                return int(line.split()[-1])
        raise AssertionError("no %s in %r" % (name, text))


def trusting(ca):
    return ssl.create_default_context(cafile=ca.path("ca.pem"))


def message(text, topic="t/a"):
    return json.dumps({"topic": topic, "payload": text, "qos": 1})


def publishing(tap, suite, ca):
    with tap.case("a message published by HTTPS reaches a subscriber"):
        sub = suite.mqtt("s1")
        sub.subscribe("t/#", 1)
        status, _, body = suite.http("POST", PUBLISH, message("one"))
        weir.expect(status == 200, (status, body))
        weir.expect(sub.receive().payload == b"one", "another payload")

    with tap.case("bytes that come one by one are a request all the same"):
        connection = suite.connect()
        body = message("slow")
        for byte in connection.head("POST", PUBLISH, len(body)) + body.encode():
            connection.send(bytes([byte]))
        weir.expect(connection.response()[0] == 200, "status")
        weir.expect(sub.receive().payload == b"slow", "another payload")
        connection.close()

    with tap.case("a large body and pipelined requests arrive whole"):
        connection = suite.connect()
        big = "x" * 500000
        request = connection.head("POST", PUBLISH, len(message(big)))
        small = message("small")
        connection.send(request + message(big).encode())
        for _ in range(8):
            connection.send(
                connection.head("POST", PUBLISH, len(small)) + small.encode()
            )
        got = [connection.response()[0] for _ in range(9)]
        weir.expect(got == [200] * 9, got)
        weir.expect(sub.receive().payload == big.encode(), "another payload")
        for _ in range(8):
            weir.expect(sub.receive().payload == b"small", "another payload")
        connection.close()

    with tap.case("curl is content"):
        if shutil.which("curl") is None:
            raise weir.Skip("curl is not installed")
        done = subprocess.run(
            ["curl", "-sS", "--cacert", ca.path("ca.pem"), "-u", "admin:public",
             "-d", message("curl"), "-H", "Content-Type: application/json",
             "https://localhost:%d%s" % (suite.http_port, PUBLISH)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20,
        )  # fmt: skip
        weir.expect(done.returncode == 0, done.stderr)
        weir.expect(json.loads(done.stdout)["code"] == 0, done.stdout)
        weir.expect(sub.receive().payload == b"curl", "another payload")


def strangers(tap, suite):
    with tap.case("plain HTTP is told 400 and that this port speaks HTTPS"):
        before = suite.count("weir_httpd_tls_failures_total")
        plain = weir.Http(suite.http_port)
        status, _, body = plain.request("GET", "/healthz")
        weir.expect(status == 400 and "https://" in body, (status, body))
        weir.expect(plain.is_closed(10), "still open")
        weir.wait_for(
            "the failure is counted",
            lambda: suite.count("weir_httpd_tls_failures_total") > before,
        )

    with tap.case("noise is closed, and others are served"):
        for noise in (b"\0" * 100, b"SSH-2.0-x\r\n", b"\x16\x03\x01\xff\xff" * 50):
            sock = socket.create_connection(("127.0.0.1", suite.http_port), 10)
            sock.sendall(noise)
            sock.shutdown(socket.SHUT_WR)
            try:
                while sock.recv(4096):
                    pass
            except OSError:
                pass
            sock.close()
        weir.expect(suite.http("GET", "/healthz")[0] == 200, "healthz")

    with tap.case("TLS 1.1 is refused"):
        warnings.simplefilter("ignore", DeprecationWarning)  # it is meant
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname = False
        old.verify_mode = ssl.CERT_NONE
        old.set_ciphers("ALL:@SECLEVEL=0")
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        try:
            suite.connect(old).close()
        except OSError:
            return
        raise AssertionError("it was accepted")


def silence(tap, suite):
    with tap.case("who makes no handshake is closed after header_timeout"):
        silent = weir.Http(suite.http_port)
        weir.expect(silent.is_closed(15), "still open")
        silent.close()
        weir.expect(suite.http("GET", "/healthz")[0] == 200, "healthz")


def memory(tap, suite):
    with tap.case("what many connections took is given back"):
        pid = suite.pid("weir-httpd")
        suite.http("GET", "/healthz")
        before = weir.resident_kib(pid)
        many = [suite.connect() for _ in range(400)]
        for connection in many:
            weir.expect(connection.request("GET", "/healthz")[0] == 200, "healthz")
        peak = weir.resident_kib(pid)
        for connection in many:
            connection.close()
        weir.wait_for(
            "half of %d KiB is back" % (peak - before),
            lambda: weir.resident_kib(pid) - before < (peak - before) / 2,
        )
        tap.note("%.1f KiB a connection" % ((peak - before) / len(many)))


def changes(tap, suite, ca):
    with tap.case("SIGHUP takes a new certificate; connections are kept"):
        old = suite.serial()
        kept = suite.connect()
        weir.expect(kept.request("GET", "/healthz")[0] == 200, "healthz")
        ca.make("server", NAMES)
        suite.reload()
        weir.wait_for("the new certificate", lambda: suite.serial() != old)
        weir.expect(kept.request("GET", "/healthz")[0] == 200, "kept connection")
        kept.close()

    with tap.case("a bad certificate keeps the old one and says why"):
        old = suite.serial()
        with open(ca.path("server.pem"), "w") as f:
            f.write("nonsense\n")
        suite.reload()
        weir.wait_for("the log says so", lambda: suite.lines("certificate_kept"))
        line = suite.lines("certificate_kept")[0]
        weir.expect(ca.path("server.pem") in line, line)
        weir.expect(suite.serial() == old, "another certificate")

    with tap.case("a key of another certificate keeps the old one too"):
        ca.make("server", NAMES)
        ca.make("other", NAMES)
        shutil.copy(ca.path("other.key"), ca.path("server.key"))
        suite.reload()
        weir.wait_for(
            "the log says so", lambda: len(suite.lines("certificate_kept")) == 2
        )
        weir.expect("must belong to" in suite.lines("certificate_kept")[1], "reason")
        weir.expect(suite.serial() == old, "another certificate")

    with tap.case("once it is right again it is taken"):
        ca.make("server", NAMES)
        suite.reload()
        weir.wait_for("the new certificate", lambda: suite.serial() != old)


def client_certificates(tap, ca):
    tls = {
        "cert": ca.path("server.pem"),
        "key": ca.path("server.key"),
        "ca_file": ca.path("ca.pem"),
        "min_version": "1.3",
    }
    ca.make("client", "DNS:client")
    context = trusting(ca)
    context.load_cert_chain(ca.path("client.pem"), ca.path("client.key"))
    with Suite(context, tls) as suite:
        with tap.case("a client with a certificate is served"):
            weir.expect(suite.http("GET", "/healthz")[0] == 200, "healthz")

        with tap.case("one without is refused"):
            try:
                connection = suite.connect(trusting(ca))
                connection.request("GET", "/healthz")
            except (OSError, EOFError):
                pass
            else:
                raise AssertionError("it was served")

        with tap.case("min_version 1.3 refuses TLS 1.2"):
            old = trusting(ca)
            old.load_cert_chain(ca.path("client.pem"), ca.path("client.key"))
            old.maximum_version = ssl.TLSVersion.TLSv1_2
            try:
                suite.connect(old).close()
            except OSError:
                pass
            else:
                raise AssertionError("it was accepted")


def mistakes(tap, ca, folder):
    def complaint(tls, text):
        path = os.path.join(folder, "bad.conf")
        with open(path, "w") as f:
            f.write(
                weir.libconfig(
                    {"run_dir": folder, "http": {"bind": "127.0.0.1:1", "tls": tls}}
                )
            )
        done = subprocess.run(
            [weir.program("weir-httpd"), "-t", "-c", path],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20, text=True,
        )  # fmt: skip
        weir.expect(done.returncode == 78, "exit %d" % done.returncode)
        weir.expect(path + ":" in done.stderr, done.stderr)
        weir.expect(text in done.stderr, done.stderr)

    good = {"cert": ca.path("server.pem"), "key": ca.path("server.key")}
    with tap.case("-t names the file that is wrong, and what to do"):
        complaint(dict(good, cert="/nowhere.pem"), "/nowhere.pem: No such file")
        complaint({"cert": good["cert"]}, "tls needs the key key")
        complaint(dict(good, min_version="1.1"), "allowed: 1.2, 1.3")
        complaint(dict(good, client_cert="optional"), "client_cert without ca_file")

    with tap.case("-t refuses a key that others may read"):
        os.chmod(good["key"], 0o644)
        complaint(good, "chmod 0640")
        os.chmod(good["key"], 0o600)


def main():
    tap = weir.Tap()
    folder = tempfile.mkdtemp(prefix="weir-t-")
    try:
        ca = certificates.Authority(folder)
        ca.make("server", NAMES)
        tls = {"cert": ca.path("server.pem"), "key": ca.path("server.key")}
        with Suite(trusting(ca), tls, header_timeout="1s") as suite:
            silence(tap, suite)
        with Suite(trusting(ca), tls) as suite:
            publishing(tap, suite, ca)
            strangers(tap, suite)
            memory(tap, suite)
            changes(tap, suite, ca)
        client_certificates(tap, ca)
        mistakes(tap, ca, folder)
    except weir.Skip as reason:
        with tap.case("HTTPS"):
            raise weir.Skip(reason)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    tap.done()


if __name__ == "__main__":
    main()
