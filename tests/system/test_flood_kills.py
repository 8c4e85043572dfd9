#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""The floods of test_flood_remotes.py, with kill -9 of weir-bridged, httpd
and broker thrown in: while the remote is in trouble, and while it drains.

weirctl run starts them again.  All that was answered 200, PUBACK or PUBREC
arrives; QoS 2 once; of QoS 1 what comes twice does so around a reconnect; in
order.  WEIR_FULL=1 floods for longer, and kills more.
"""

import os

import flood_scene
import weir

FULL = os.environ.get("WEIR_FULL") == "1"

# So long after the flood began: trouble is from 1 to 6 s.
KILLS = [
    (1.5, "weir-bridged"),
    (2.2, "weir-httpd"),
    (3.0, "weir-broker"),
    (6.3, "weir-bridged"),
    (6.8, "weir-httpd"),
    (7.3, "weir-broker"),
]
MORE = [(8.0 + i * 0.7, KILLS[i % 3][1]) for i in range(12)]


def try_remote(tap, name):
    with tap.case(name + ": a flood with kills runs"):
        scene = flood_scene.Scene(
            name,
            flood_s=18 if FULL else 8,
            trouble_s=5.0,
            kills=KILLS + (MORE if FULL else []),
            most=40000 if FULL else 6000,
        )
        scene.report(tap, name)
        verdict, done = scene.verdict, scene.done
        tap.equal(
            verdict.wrong(), [], name + ": all that is accepted arrives, in order"
        )
        # Each life of bridged and broker that is cut off may leave a window.
        cut = sum(one != "weir-httpd" for one in scene.killed)
        tap.ok(
            verdict.duplicates() <= max(verdict.arrived // 1000, 20 * cut),
            name + ": of QoS 1 less than one in a thousand comes twice",
            verdict.text(),
        )
        tap.equal(
            (done["rude"], done["errors"], done["lost_sessions"]),
            (0, 0, 0),
            name + ": each refusal has a Retry-After, no session is lost",
        )
        tap.equal(
            sorted(set(scene.killed)),
            ["weir-bridged", "weir-broker", "weir-httpd"],
            name + ": all three were killed",
        )
        tap.equal(
            scene.plant_wrong,
            [],
            name + ": the other bridge gets all of its own, in order",
        )
        tap.equal(
            scene.refused_beside(),
            dict.fromkeys(scene.refused_beside(), 0),
            name + ": no 429 for the other bridge and the unbridged topic",
        )


def main():
    tap = weir.Tap(limit=1500 if FULL else 380)
    for name in flood_scene.REMOTES:
        try_remote(tap, name)
    tap.done()


if __name__ == "__main__":
    main()
