# SPDX-License-Identifier: Apache-2.0

"""The brokers that are compared, each started alone with a private directory.

A peer is found or says why not; what it cannot do is in `lacks`, and the rows
that need it leave it out.  All of them: no log, nothing on the disk, no Nagle,
queues wide enough that nothing need be dropped; the rest as it comes.
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
import time

from brokers import find, free_port, process, wait_attached, write


class Peer:
    name = "?"
    lacks = frozenset()  # words of the rows' `needs`
    pace = 1.0  # how many of a row's messages it is given: the fast get more
    rounds = 100  # at most; less for one that takes long to start

    def __init__(self, build):
        self.build = build

    def missing(self):
        """None, or in a word why it takes no part."""
        return None

    def argv(self, directory, port):
        raise NotImplementedError

    def environment(self, directory):
        return None

    def clean_up(self, environment):
        """End what it has left behind."""

    @contextlib.contextmanager
    def run(self, cpus=None):
        """Started: its port and its processes, as text for -c."""
        directory = tempfile.mkdtemp(prefix="weir-bench-")
        port = free_port()
        try:
            argv = self.argv(directory, port)
            environment = self.environment(directory)
            with process(argv, port, directory, cpus, environment) as pid:
                yield port, [pid] + descendants(pid)
            self.clean_up(environment)
        finally:
            shutil.rmtree(directory, ignore_errors=True)


class Weir(Peer):
    pace = 6.0

    def __init__(self, build, workers, durability="none"):
        super().__init__(build)
        self.workers = workers
        self.durability = durability
        self.name = "weir, %d worker%s" % (workers, "" if workers == 1 else "s")

    def argv(self, directory, port):
        conf = weir_conf(directory, port, self.workers, self.durability)
        return [os.path.join(self.build, "broker/weir-broker"), "-c", conf]


class Limit(Peer):
    name = "limit"
    lacks = frozenset(["shared", "wildcard", "retained", "stalled"])
    pace = 6.0

    def argv(self, directory, port):
        return [os.path.join(self.build, "bench/limit"), "-p", str(port)]


class HttpLimit(Peer):
    name = "limit"

    def argv(self, directory, port):
        return [os.path.join(self.build, "bench/limit-http"), "-p", str(port)]


class Mosquitto(Peer):
    name = "mosquitto"

    def missing(self):
        return None if find("mosquitto") else "not installed"

    def argv(self, directory, port):
        text = (
            "listener %d 127.0.0.1\nallow_anonymous true\npersistence false\n"
            "log_dest none\nset_tcp_nodelay true\nmax_queued_messages 0\n" % port
        )
        if os.getuid() == 0:
            text += "user root\n"
        conf = write(os.path.join(directory, "mosquitto.conf"), text)
        return [find("mosquitto"), "-c", conf]


class Nats(Peer):
    """MQTT 3.1.1 without QoS 2 and $share; QoS 1 goes through JetStream."""

    name = "nats-server"
    lacks = frozenset(["qos2", "shared"])
    pace = 0.2

    def missing(self):
        return None if find("nats-server") else "not installed"

    def argv(self, directory, port):
        text = (
            'server_name: bench\nlisten: "127.0.0.1:%d"\n'
            'jetstream { store_dir: "%s" }\nmax_connections: 100000\n'
            'mqtt { listen: "127.0.0.1:%d" }\n'
            % (free_port(port + 1), directory, port)
        )
        conf = write(os.path.join(directory, "nats.conf"), text)
        return [find("nats-server"), "-c", conf, "-l", "/dev/null"]


class RabbitMq(Peer):
    """With the MQTT plugin that comes in its package; no QoS 2.

    Debian's script in /usr/sbin changes to a user of its own, who may not write
    here; the one behind it does not.
    """

    name = "rabbitmq"
    lacks = frozenset(["qos2", "shared"])
    pace = 0.2
    rounds = 1

    program = "/usr/lib/rabbitmq/bin/rabbitmq-server"

    def missing(self):
        return None if os.access(self.program, os.X_OK) else "not installed"

    def argv(self, directory, port):
        write(os.path.join(directory, "plugins"), "[rabbitmq_mqtt].\n")
        write(
            os.path.join(directory, "rabbitmq.conf"),
            "listeners.tcp = none\nmqtt.listeners.tcp.1 = 127.0.0.1:%d\n"
            "mqtt.allow_anonymous = true\nmqtt.tcp_listen_options.nodelay = true\n"
            "log.console = false\nlog.file = false\n" % port,
        )
        return [self.program]

    def environment(self, directory):
        return dict(
            os.environ,
            HOME=directory,
            RABBITMQ_NODENAME="bench%d@localhost" % os.getpid(),
            RABBITMQ_MNESIA_BASE=directory,
            RABBITMQ_LOG_BASE=directory,
            RABBITMQ_CONFIG_FILE=os.path.join(directory, "rabbitmq.conf"),
            RABBITMQ_ENABLED_PLUGINS_FILE=os.path.join(directory, "plugins"),
            RABBITMQ_DIST_PORT=str(free_port(free_port() + 2)),
            ERL_EPMD_ADDRESS="127.0.0.1",
            ERL_EPMD_PORT=str(free_port(free_port() + 3)),
        )

    def clean_up(self, environment):
        """Its name server is a daemon of its own, here on a port of its own."""
        for _ in range(50):  # not while it still believes in the server
            kill = ["epmd", "-kill"]
            done = subprocess.run(kill, env=environment, stdout=subprocess.PIPE)
            if done.returncode == 0 and b"not allowed" not in done.stdout:
                return
            time.sleep(0.1)


def all_peers(build):
    return [
        Weir(build, 1),
        Weir(build, 2),
        Limit(build),
        Mosquitto(build),
        Nats(build),
        RabbitMq(build),
    ]


def weir_conf(directory, port, workers=0, durability="none", more=""):
    for name in ("run", "state"):
        os.makedirs(os.path.join(directory, name), 0o700, exist_ok=True)
    return write(
        os.path.join(directory, "weir.conf"),
        'run_dir = "%s/run";\nstate_dir = "%s/state";\n'
        'listeners = ( { bind = "127.0.0.1:%d"; } );\n'
        'durability = "%s";\nworkers = %d;\nmax_connections = 100000;\n'
        'max_queued_messages = 1000000;\nmax_queued_bytes = "256MiB";\n'
        'accounts = ( { name = "bench"; password = "bench"; } );\n%s'
        % (directory, directory, port, durability, workers, more),
    )


@contextlib.contextmanager
def weir_suite(build, workers, with_bridge=False):
    """Broker, httpd and, if asked, a bridge to bench/limit.

    Gives the HTTP port and the processes of Weir.
    """
    directory = tempfile.mkdtemp(prefix="weir-bench-")
    mqtt = free_port()
    http = free_port(mqtt + 1)
    remote = free_port(http + 1)
    more = 'http = { bind = "127.0.0.1:%d"; };\n' % http
    if with_bridge:
        more += (
            'bridges = ( { name = "cloud"; url = "mqtt://127.0.0.1:%d"; '
            'forward = ( { filter = "bridge/#"; } ); } );\n' % remote
        )
    conf = weir_conf(directory, mqtt, workers, more=more)

    def program(name, port):
        return process([os.path.join(build, name), "-c", conf], port, directory)

    try:
        with contextlib.ExitStack() as stack:
            if with_bridge:
                argv = [os.path.join(build, "bench/limit"), "-p", str(remote)]
                stack.enter_context(process(argv, remote, directory))
            pids = [stack.enter_context(program("broker/weir-broker", mqtt))]
            pids.append(stack.enter_context(program("httpd/weir-httpd", http)))
            if with_bridge:
                argv = [os.path.join(build, "bridged/weir-bridged"), "-c", conf]
                bridge = process(argv + ["cloud"], None, directory)
                pids.append(stack.enter_context(bridge))
            wait_attached(http)
            yield http, pids
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def descendants(pid):
    """Children and theirs; a server may be started by a script."""
    children = {}
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError, ValueError):
            with open("/proc/%d/stat" % int(name)) as f:
                parent = int(f.read().rsplit(")", 1)[1].split()[1])
            children.setdefault(parent, []).append(int(name))
    found = []
    wanted = [pid]
    while wanted:
        more = children.get(wanted.pop(), [])
        found += more
        wanted += more
    return found


def pss_kib(pids):
    """Memory of these processes, what they share counted once."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            with open("/proc/%d/smaps_rollup" % pid) as f:
                for line in f:
                    if line.startswith("Pss:"):
                        total += int(line.split()[1])
    return total


def settled_pss_kib(pids, seconds=3.0):
    """The least that is seen for a while: caches are given back late."""
    least = pss_kib(pids)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.25)
        least = min(least, pss_kib(pids))
    return least
