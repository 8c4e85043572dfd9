# SPDX-License-Identifier: Apache-2.0

"""certificates - an authority and certificates of its own, by openssl(1).

    ca = certificates.Authority(folder)
    ca.make("server", "DNS:localhost,IP:127.0.0.1")    # server.pem, server.key
    ca.path("ca.pem")
"""

import os
import shutil
import subprocess

import weir


class Authority:
    def __init__(self, folder, name="ca"):
        if shutil.which("openssl") is None:
            raise weir.Skip("openssl is not installed")
        self.folder = folder
        self.name = name
        self.run(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-days", "30", "-subj", "/CN=" + name,
            "-keyout", self.path(name + ".key"), "-out", self.path(name + ".pem"),
        )  # fmt: skip

    def path(self, file):
        return os.path.join(self.folder, file)

    def run(self, *words):
        subprocess.run(
            ["openssl", *words],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=20,
        )

    def crl(self, file, *revoked):
        """A list of revoked certificates, by their names, into this file."""
        index = self.path(self.name + ".index")
        settings = self.path(self.name + ".cnf")
        with open(index, "w"):
            pass
        with open(settings, "w") as f:
            f.write(
                "[ca]\ndefault_ca=this\n[this]\ndatabase=%s\n"
                "default_md=sha256\ndefault_crl_days=9\n" % index
            )
        own = (
            "-config", settings, "-cert", self.path(self.name + ".pem"),
            "-keyfile", self.path(self.name + ".key"),
        )  # fmt: skip
        for name in revoked:
            self.run("ca", *own, "-revoke", self.path(name + ".pem"))
        self.run("ca", *own, "-gencrl", "-out", self.path(file))

    def make(self, name, names, days=30):
        """NAME.pem and NAME.key, signed by this authority, for these names."""
        request = self.path(name + ".csr")
        extensions = self.path(name + ".ext")
        with open(extensions, "w") as f:
            f.write("subjectAltName=%s\n" % names)
        self.run(
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-subj", "/CN=" + name, "-keyout", self.path(name + ".key"),
            "-out", request,
        )  # fmt: skip
        self.run(
            "x509", "-req", "-in", request, "-days", str(days),
            "-CA", self.path(self.name + ".pem"),
            "-CAkey", self.path(self.name + ".key"), "-CAcreateserial",
            "-extfile", extensions, "-out", self.path(name + ".pem"),
        )  # fmt: skip
        os.chmod(self.path(name + ".key"), 0o600)
