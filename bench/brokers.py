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
import urllib.request


def free_port(first=None):
    """Below the ephemeral ports, so that no connection is given it."""
    for port in range(first or 10000 + os.getpid() % 20000, 32000):
        with socket.socket() as probe:
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
    sys.exit("run: no free port from 10000 to 32000")


@contextlib.contextmanager
def process(argv, port, directory, cpus=None, env=None):
    """A server that answers on its port, if it has one; ended on the way out.

    Whatever it has started itself is in a group of its own, and ends with it.
    """
    log = os.path.join(directory, os.path.basename(argv[0]) + ".log")
    with open(log, "ab") as out:
        child = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=env,
            start_new_session=True,
            preexec_fn=pinning(cpus),
        )
    try:
        deadline = time.monotonic() + (10 if env is None else 120)
        while port is not None:
            if child.poll() is not None or time.monotonic() > deadline:
                with open(log, errors="replace") as f:
                    sys.stderr.write(f.read()[-2000:])
                raise SystemExit("%s does not answer" % argv[0])
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            time.sleep(0.02)
        yield child.pid
    finally:
        child.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(5)
        with contextlib.suppress(OSError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def wait_attached(http_port):
    """weir-httpd listens before it has found the broker."""
    url = "http://127.0.0.1:%d/healthz" % http_port
    for _ in range(500):
        with contextlib.suppress(OSError):
            if urllib.request.urlopen(url, timeout=5).status == 200:
                return
        time.sleep(0.02)
    sys.exit("weir-httpd does not find the broker")


def pinning(cpus):
    """For preexec_fn: on these processors alone."""
    return None if cpus is None else lambda: os.sched_setaffinity(0, cpus)


def write(path, text):
    with open(path, "w") as f:
        f.write(text)
    return path


def find(program):
    """Its path; servers lie where not every user looks."""
    path = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/usr/local/sbin"
    return shutil.which(program, path=path)


def find_mosquitto():
    return find("mosquitto")


def measure(argv, cpus=None):
    """The line of a load program as a dict, or None when it failed."""
    done = subprocess.run(
        argv, stdout=subprocess.PIPE, text=True, preexec_fn=pinning(cpus)
    )
    values = dict(word.split("=") for word in done.stdout.split())
    if done.returncode != 0:
        print("%s: %s" % (" ".join(argv), done.stdout), file=sys.stderr)
        return None
    return values
