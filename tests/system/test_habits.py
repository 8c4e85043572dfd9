#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""What home automation and its tools do all day, packet by packet.

Home Assistant with discovery, devices in the way of Tasmota and Zigbee2MQTT,
Node-RED, Telegraf, MQTT Explorer: the topics, options and order of packets
that these programs use, with the broker's defaults.
"""

import json
import os
import time

import mqtt_raw as m
import weir

DEVICES = 1000
LWT = m.Will("homeassistant/status", b"offline", 0, False)


def config_topic(number):
    kind = ("sensor", "binary_sensor", "switch", "light")[number % 4]
    # With a node in every second one, as bridges for many devices have it.
    node = "node%d/" % (number // 10) if number % 2 else ""
    return "homeassistant/%s/%sdevice%d/config" % (kind, node, number)


def config(number):
    return json.dumps(
        {
            "name": "Device %d" % number,
            "unique_id": "weir-test-%d" % number,
            "state_topic": "zigbee2mqtt/device%d" % number,
            "availability": [{"topic": "zigbee2mqtt/bridge/state"}],
            "unit_of_measurement": "\u00b0C",
            "device": {"identifiers": ["id%d" % number], "manufacturer": "x" * 200},
        }
    ).encode()


class Home:
    """One broker with its defaults; a retained reading of topics."""

    def __init__(self, suite):
        self.suite = suite

    def client(self, name, version=4, **more):
        return m.Client(self.suite.port, name, version, timeout=20, **more)

    def retained(self, topic_filter, count):
        """{topic: payload} of what a new subscriber gets: so many."""
        client = self.client("reader")
        client.subscribe(topic_filter)
        found = collect(client, count)
        client.nothing()
        client.end()
        return found


def collect(client, count):
    """So many messages, acknowledged (QoS 0 and 1)."""
    found = {}
    while len(found) < count:
        packet = client.read()
        weir.expect(packet is not None, "%d of %d came" % (len(found), count))
        if packet.kind == m.PUBLISH:
            client.acknowledge(packet)
            found[packet.topic] = packet.payload
    return found


def zigbee2mqtt(tap, home):
    """A bridge of many devices announces them, each retained, QoS 1."""
    with tap.case("%d discovery messages, retained, in one go" % DEVICES):
        will = m.Will("zigbee2mqtt/bridge/state", b'{"state":"offline"}', 1, True)
        bridge = home.client("mqttjs_z2m", 4, will=will)
        bridge.publish(will.topic, b'{"state":"online"}', 1, retain=True)
        for first in range(0, DEVICES, 50):
            bridge.send(
                *(
                    m.publish(
                        config_topic(n), config(n), 1, n + 10, retain=True, version=4
                    )
                    for n in range(first, first + 50)
                )
            )
            for number in range(first, first + 50):
                bridge.expect(m.PUBACK, id=number + 10)
    return bridge


def home_assistant(tap, home, bridge):
    assistant = home.client("ha-core", 4, will=LWT, keep_alive=60)
    with tap.case("Home Assistant: birth, and discovery by homeassistant/#"):
        assistant.publish("homeassistant/status", b"online", 0)
        assistant.subscribe("homeassistant/#", 0)
        found = collect(assistant, DEVICES)
        want = {config_topic(n): config(n) for n in range(DEVICES)}
        weir.expect(found == want, "%d topics" % len(found))
    with tap.case("by its narrower filters, both at once, MQTT 5.0 and QoS 1"):
        newer = home.client("ha-core-5", 5, props={"receive_maximum": 20})
        filters = [("homeassistant/+/+/config", 1), ("homeassistant/+/+/+/config", 1)]
        newer.send(m.subscribe(1, *filters))
        newer.expect(m.SUBACK, id=1, reasons=[1, 1])
        found = collect(newer, DEVICES)
        weir.expect(found == want, "%d topics" % len(found))
        newer.nothing()
        newer.end()
    with tap.case("the same subscription again gets them all again"):
        assistant.subscribe("homeassistant/#", 0)
        weir.expect(collect(assistant, DEVICES) == want, "not all")
    with tap.case("states of its devices, by 200 subscriptions in one packet"):
        lines = [("zigbee2mqtt/device%d" % n, 0) for n in range(200)]
        assistant.send(
            m.subscribe(7, ("zigbee2mqtt/bridge/state", 0), *lines, version=4)
        )
        assistant.expect(m.SUBACK, id=7, reasons=[0] * 201)
        assistant.receive("zigbee2mqtt/bridge/state", b'{"state":"online"}', retain=True)
        for number in range(200):
            bridge.publish("zigbee2mqtt/device%d" % number, b"%d" % number, 0)
        found = collect(assistant, 200)
        weir.expect(found["zigbee2mqtt/device199"] == b"199", "another")
    with tap.case("a command, by way of its set topic, QoS 0"):
        bridge.subscribe("zigbee2mqtt/+/set", 0)
        assistant.publish("zigbee2mqtt/device3/set", b'{"state":"ON"}', 0)
        bridge.receive("zigbee2mqtt/device3/set", b'{"state":"ON"}')
    with tap.case("an empty retained message takes a device away, at once"):
        topic = config_topic(7)
        bridge.publish(topic, b"", 1, retain=True)
        assistant.receive(topic, b"", retain=False)
        left = home.retained("homeassistant/#", DEVICES - 1)
        weir.expect(topic not in left, "it is still there")
    with tap.case("its end is told by its Will, not retained"):
        watcher = home.client("watcher")
        watcher.subscribe("homeassistant/status", 0)
        assistant.cut()
        watcher.receive("homeassistant/status", b"offline", retain=False)
        watcher.end()


def tasmota(tap, home):
    with tap.case("Tasmota: LWT Online and Offline, retained; cmnd, stat and tele"):
        will = m.Will("tele/plug/LWT", b"Offline", 1, True)
        plug = home.client("DVES_123456", 4, will=will, keep_alive=30)
        plug.publish("tele/plug/LWT", b"Online", 0, retain=True)
        # It clears a command that was retained by mistake.
        plug.publish("cmnd/plug/POWER", b"", 0, retain=True)
        for topic_filter in ("cmnd/plug/#", "cmnd/tasmotas/#", "cmnd/DVES_123456_fb/#"):
            plug.subscribe(topic_filter, 0)
        user = home.client("user")
        user.subscribe("stat/plug/+", 0)
        user.subscribe("tele/plug/LWT", 0)
        user.receive("tele/plug/LWT", b"Online", retain=True)
        user.publish("cmnd/plug/Power", b"TOGGLE", 0)
        plug.receive("cmnd/plug/Power", b"TOGGLE")
        plug.publish("stat/plug/RESULT", b'{"POWER":"ON"}', 0)
        plug.publish("stat/plug/POWER", b"ON", 0, retain=True)
        user.receive("stat/plug/RESULT", b'{"POWER":"ON"}')
        user.receive("stat/plug/POWER", b"ON", retain=False)
        plug.cut()
        user.receive("tele/plug/LWT", b"Offline", retain=False)
        user.end()
        found = home.retained("tele/+/LWT", 1)
        weir.expect(found == {"tele/plug/LWT": b"Offline"}, found)


def node_red(tap, home):
    for version in (4, 5):
        with tap.case("Node-RED, MQTT level %d: a flow reads, answers, restarts" % version):
            name = "nodered_%d" % version
            will = m.Will("flows/state", b"dead", 0, False)
            props = {"topic_alias_maximum": 0} if version == 5 else None
            flow = home.client(name, version, will=will, props=props)
            flow.publish("flows/state", b"born", 0, retain=True)
            flow.subscribe("sensors/+/temp", 2)
            flow.subscribe("control/%d" % version, 0)
            device = home.client("device")
            device.publish("sensors/hall/temp", b"21.5", 0)
            device.publish("sensors/hall/temp", b"21.6", 2)
            flow.receive("sensors/hall/temp", b"21.5", qos=0)
            flow.receive("sensors/hall/temp", b"21.6", qos=2)
            flow.unsubscribe("control/%d" % version)
            flow.publish("flows/state", b"closed", 0, retain=True)
            flow.end()
            flow = home.client(name, version, will=will, props=props)
            weir.expect(not flow.connack.session_present, "a session")
            flow.subscribe("flows/state", 0)
            flow.receive("flows/state", b"closed", retain=True)
            flow.end()
            device.end()


def telegraf(tap, home):
    topics = [("telegraf/host01/cpu", 1), ("telegraf/+/mem", 1), ("sensors/#", 1)]

    def start():
        agent = home.client("Telegraf-Consumer-aBcDe", 4, clean=False)
        agent.send(m.subscribe(1, *topics, version=4))
        return agent

    with tap.case("Telegraf: a persistent consumer subscribes anew at each start"):
        agent = start()
        agent.expect(m.SUBACK, id=1, reasons=[1, 1, 1])
        agent.end()
        output = home.client("Telegraf-Output-1")
        for number in range(200):
            line = b"cpu,host=host01 usage=%d" % number
            output.publish("telegraf/host01/cpu", line, 1)
        agent = start()
        weir.expect(agent.connack.session_present, "no session")
        got, answered = [], False
        while len(got) < 200 or not answered:
            packet = agent.read()
            weir.expect(packet is not None, "%d came" % len(got))
            if packet.kind == m.SUBACK:
                answered = True
            else:
                got.append(agent.acknowledge(packet).payload)
        weir.expect(got[0].endswith(b"=0") and got[199].endswith(b"=199"), "order")
        agent.nothing()
        agent.end()
        output.end()
        home.client("Telegraf-Consumer-aBcDe").end()


def explorer(tap, home):
    for version in (4, 5):
        with tap.case("MQTT Explorer, level %d: # and $SYS/#, and all is there" % version):
            tool = home.client("mqtt-explorer-%08x" % version, version)
            both = [m.subscribe(1, ("#", 0), version=version)]
            both += [m.subscribe(2, ("$SYS/#", 0), version=version)]
            tool.send(*both)
            found, deadline = {}, time.monotonic() + 20
            while not (
                "$SYS/broker/version" in found
                and sum(topic.endswith("/config") for topic in found) == DEVICES - 1
            ):
                packet = tool.read()
                weir.expect(packet is not None, sorted(found)[:5])
                weir.expect(time.monotonic() < deadline, "%d topics" % len(found))
                if packet.kind == m.PUBLISH:
                    found[packet.topic] = packet.payload
            tool.end()
    with tap.case("MQTT Explorer deletes a tree, topic by topic"):
        tool = home.client("mqtt-explorer-delete")
        for topic in home.retained("homeassistant/#", DEVICES - 1):
            tool.send(m.publish(topic, b"", 0, retain=True, version=4))
        tool.publish("homeassistant/left/config", b"{}", 1, retain=True)
        tool.end()
        found = home.retained("homeassistant/#", 1)
        weir.expect(list(found) == ["homeassistant/left/config"], found)


def main():
    tap = weir.Tap(120)
    durability = os.environ.get("WEIR_DURABILITY", "process")
    with tap.case("the suite ends in order"), weir.Weir(
        http=None, durability=durability
    ) as suite:
        home = Home(suite)
        bridge = zigbee2mqtt(tap, home)
        home_assistant(tap, home, bridge)
        for group in (tasmota, node_red, telegraf, explorer):
            tap.attempt(group, home)
        bridge.end()
    tap.done()


if __name__ == "__main__":
    main()
