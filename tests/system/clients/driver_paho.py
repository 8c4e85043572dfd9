# SPDX-License-Identifier: Apache-2.0

"""driver_paho - a client by Eclipse Paho Python (1.6 or 2), moved by lines on
stdin; see drivers.py for what they say."""

import sys

import paho.mqtt.client as paho
from paho import mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

state = {"burst": 0}


def say(*words):
    sys.stdout.write("\t".join(str(word) for word in words) + "\n")
    sys.stdout.flush()


def code_of(reason):
    return getattr(reason, "value", reason)


def on_connect(_client, _data, flags, reason, *_):
    present = getattr(flags, "session_present", None)
    if present is None:
        present = flags["session present"]
    say("connected", code_of(reason), int(present))


def on_disconnect(_client, _data, *rest):
    # 1.6: (rc) or (reason, properties); 2: (flags, reason, properties)
    reason = rest[1] if len(rest) == 3 else rest[0]
    say("lost" if code_of(reason) else "disconnected", code_of(reason))


def on_subscribe(_client, _data, _number, codes, *_):
    say("subscribed", code_of(codes[0]))


def on_unsubscribe(*_):
    say("unsubscribed")


def on_publish(*_):
    if state["burst"] == 0:
        say("published", 0)
        return
    state["burst"] -= 1
    if state["burst"] == 0:
        say("burst")


def on_message(_client, _data, message):
    properties = getattr(message, "properties", None)
    response = getattr(properties, "ResponseTopic", "")
    name, value = getattr(properties, "UserProperty", [("", "")])[0]
    payload = message.payload.decode()
    retain = int(message.retain)
    say("message", message.topic, payload, message.qos, retain, response, name, value)


def connect(port, name, version, clean, keep_alive, *will):
    version, clean = int(version), clean == "1"
    how = {"client_id": name, "protocol": version}
    if version != 5:
        how["clean_session"] = clean
    if len(sys.argv) > 2:
        how["transport"] = "websockets"
    if hasattr(paho, "CallbackAPIVersion"):
        how["callback_api_version"] = paho.CallbackAPIVersion.VERSION2
    client = paho.Client(**how)
    for event in "connect disconnect subscribe unsubscribe publish message".split():
        setattr(client, "on_" + event, globals()["on_" + event])
    client.reconnect_delay_set(1, 1)
    if len(sys.argv) > 2:
        client.ws_set_options(path=sys.argv[2])
    if will:
        client.will_set(will[0], will[1], int(will[2]), will[3] == "1")
    more = {}
    if version == 5:
        more["clean_start"] = clean
        if not clean:
            more["properties"] = Properties(PacketTypes.CONNECT)
            more["properties"].SessionExpiryInterval = 3600
    client.connect("127.0.0.1", port, int(keep_alive), **more)
    client.loop_start()
    state["version"] = version
    return client


def publish(client, topic, payload, qos, retain, *more):
    properties = None
    if more and state["version"] == 5:
        properties = Properties(PacketTypes.PUBLISH)
        properties.ResponseTopic = more[0]
        properties.UserProperty = (more[1], more[2])
    client.publish(topic, payload, int(qos), retain == "1", properties)


def burst(client, topic, count, qos):
    state["burst"] = int(count)
    for number in range(int(count)):
        client.publish(topic, str(number), int(qos))


def main():
    port, client = int(sys.argv[1]), None
    version = getattr(mqtt, "__version__", "1")
    say("library", "Paho Python " + version)
    for line in sys.stdin:
        word, *rest = line.rstrip("\n").split("\t")
        if word == "connect":
            client = connect(port, *rest)
        elif word == "publish":
            publish(client, *rest)
        elif word == "burst":
            burst(client, *rest)
        elif word == "subscribe":
            client.subscribe(rest[0], int(rest[1]))
        elif word == "unsubscribe":
            client.unsubscribe(rest[0])
        elif word == "disconnect":
            client.disconnect()


if __name__ == "__main__":
    main()
