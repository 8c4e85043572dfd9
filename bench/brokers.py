# SPDX-License-Identifier: Apache-2.0

"""What the benchmarks share: servers on free ports, and what a load prints."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time


def free_port():
    """Below the ephemeral ports, so that no connection is given it."""
    for port in range(10000 + os.getpid() % 20000, 32000):
        with socket.socket() as probe:
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
    sys.exit("run: no free port from 10000 to 32000")


@contextlib.contextmanager
def process(argv, port, directory):
    """A server that answers on its port; ended on the way out."""
    log = os.path.join(directory, os.path.basename(argv[0]) + ".log")
    with open(log, "ab") as out:
        child = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )
    try:
        deadline = time.monotonic() + 10
        while True:
            if child.poll() is not None or time.monotonic() > deadline:
                with open(log, errors="replace") as f:
                    sys.stderr.write(f.read()[-2000:])
                raise SystemExit("run: %s does not answer" % argv[0])
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            time.sleep(0.02)
        yield child.pid
    finally:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(5)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def write(path, text):
    with open(path, "w") as f:
        f.write(text)
    return path


def find_mosquitto():
    return shutil.which("mosquitto", path=os.defpath + ":/usr/sbin:/usr/local/sbin")


def measure(argv):
    """The line of a load program as a dict, or None when it failed."""
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True)
    values = dict(word.split("=") for word in done.stdout.split())
    if done.returncode != 0:
        print("run: %s: %s" % (" ".join(argv), done.stdout), file=sys.stderr)
        return None
    return values
