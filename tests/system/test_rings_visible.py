#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""`weirctl rings` shows every ring whatever happens to the broker."""

import signal

import weir

FIELDS = (
    "name from to lane state capacity max_capacity used high_water messages_in "
    "messages_out bytes_in bytes_out lag_ms credit_granted credit_used stalls "
    "stalled_ms grows shrinks wakeups refused dropped producer_pid consumer_pid "
    "held_by"
).split()
STATES = ("idle", "running", "flow", "blocked", "peer_dead", "detached")


def names(suite):
    return sorted(ring["name"] for ring in suite.rings())


def main():
    tap = weir.Tap()
    with weir.Mosquitto() as remote:
        bridges = [
            {
                "name": name,
                "url": "mqtt://127.0.0.1:%d" % remote.port,
                "forward": [{"filter": name + "/#"}],
            }
            for name in ("cloud", "plant")
        ]
        with tap.case("the suite ends in order"), weir.Weir(bridges=bridges) as suite:
            sub = weir.Collector(remote.port, "#", qos=1)
            for topic in ("plain", "cloud/a", "plant/a"):
                suite.publish(topic, "first")
            sub.wait_count(2)
            before = names(suite)
            with tap.case("there is a ring for each direction and lane in use"):
                for want in (
                    "httpd→broker",
                    "httpd→broker/cloud",
                    "httpd→broker/plant",
                    "broker→httpd",
                    "broker→cloud",
                    "broker→plant",
                ):
                    weir.expect(want in before, "%s is not in %r" % (want, before))
            with tap.case("each ring has every field, and they make sense"):
                for ring in suite.rings():
                    missing = set(FIELDS) - set(ring)
                    weir.expect(not missing, "%s lacks %r" % (ring["name"], missing))
                    weir.expect(ring["state"] in STATES, ring)
                    weir.expect(0 <= ring["used"] <= ring["capacity"], ring)
                    weir.expect(ring["messages_out"] <= ring["messages_in"], ring)
            with tap.case("a message in transit is counted in and out"):
                ring = suite.ring("broker→cloud")
                weir.expect(ring["messages_in"] == 1, ring)
                weir.wait_for(
                    "it is released",
                    lambda: suite.ring_is("broker→cloud", messages_out=1),
                )
            with tap.case("the table names every ring too"):
                table = suite.ctl("rings")
                for name in before:
                    weir.expect(name in table, "%s is not in\n%s" % (name, table))

            broker = suite.pid("weir-broker")
            weir.kill(broker, signal.SIGSTOP)
            try:
                with tap.case("all rings are shown while the broker is stopped"):
                    weir.expect(names(suite) == before, names(suite))
            finally:
                weir.kill(broker, signal.SIGCONT)

            # Nobody may restart it while we look.
            weir.kill(suite.child.pid, signal.SIGSTOP)
            weir.kill(broker, signal.SIGKILL)
            weir.wait_for("the broker is dead", lambda: not weir.is_alive(broker))
            try:
                with tap.case("all rings are shown after kill -9 of the broker"):
                    weir.expect(names(suite) == before, names(suite))
                with tap.case("the dead broker's lanes say that their peer is dead"):
                    ring = suite.ring("httpd→broker")
                    weir.expect(ring["state"] in ("peer_dead", "detached"), ring)
            finally:
                weir.kill(suite.child.pid, signal.SIGCONT)
            with tap.case("after the restart the message flow is back"):
                weir.wait_for(
                    "a message reaches the remote",
                    lambda: suite.publish("cloud/b", "again") == 200
                    and "again" in sub.payloads(),
                )
            sub.stop()
    tap.done()


if __name__ == "__main__":
    main()
