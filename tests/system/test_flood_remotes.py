#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""A flood by HTTP and MQTT, and a remote that is healthy, stopped, stalled,
never acknowledging, dead, and back.

Sixteen HTTP connections and eight MQTT publishers (QoS 1 and 2) flood one
bridge; another bridge, a topic that no bridge wants and unrelated MQTT traffic
go on beside it.  All that was accepted arrives, QoS 2 once, in order; what was
refused does not; nobody else notices; memory is bounded and given back.
WEIR_FULL=1 floods for longer.
"""

import os

import flood_scene
import flooding
import weir

FULL = os.environ.get("WEIR_FULL") == "1"


def check_flood(tap, scene, name):
    verdict, done = scene.verdict, scene.done
    tap.equal(verdict.wrong(), [], name + ": all that is accepted arrives, in order")
    tap.ok(
        verdict.accepted > 1000 and done["accepted"] == verdict.accepted,
        name + ": much is accepted",
        verdict.text(),
    )
    tap.ok(
        verdict.duplicates() * 1000 <= verdict.arrived,
        name + ": of QoS 1 less than one in a thousand comes twice",
        verdict.text(),
    )
    tap.equal(
        (done["rude"], done["errors"], done["lost_sessions"]),
        (0, 0, 0),
        name + ": each refusal has a Retry-After, no session is lost",
    )


def check_neighbours(tap, scene, name):
    tap.equal(
        scene.refused_beside(),
        dict.fromkeys(scene.refused_beside(), 0),
        name + ": no refusal for the other bridge and the unbridged topic",
    )
    tap.equal(
        scene.plant_wrong,
        [],
        name + ": the other bridge gets all of its own, in order",
    )
    mqtt = scene.seen["mqtt"]
    tap.ok(
        not mqtt["dropped"]
        and mqtt["received"] == mqtt["sent"] == mqtt["acknowledged"]
        and mqtt["in_order"],
        name + ": unrelated MQTT traffic arrives, once and in order",
        mqtt,
    )


def check_memory(tap, scene, name):
    tap.ok(
        scene.memory.sum * 1024 <= scene.bound * 1.1,
        name + ": memory is within what weirctl status computes",
        "%d KiB of %d" % (scene.memory.sum, scene.bound // 1024),
    )
    tap.equal(
        (scene.not_given_back(), scene.rings_grown()),
        ({}, {}),
        name + ": 5 s after the drain memory is within a fifth of the start",
    )


def try_remote(tap, name, most):
    with tap.case(name + ": a flood runs"):
        scene = flood_scene.Scene(name, most=most * (5 if FULL else 1))
        scene.report(tap, name)
        check_flood(tap, scene, name)
        check_neighbours(tap, scene, name)
        check_memory(tap, scene, name)
        if name == "healthy":
            tap.equal(scene.verdict.refused, 0, "healthy: nothing is refused")
            return scene
        tap.ok(scene.verdict.refused, name + ": some are held, then refused")
        tap.ok(
            scene.back_after <= 2.0,
            name + ": the drain begins within 2 s of the return",
            "%.2f s" % scene.back_after,
        )
        return scene
    return None


def try_reject(tap):
    """MQTT 5.0 publishers are told 0x97, and go on."""
    with tap.case("stalled, overflow = reject: a flood runs"):
        scene = flood_scene.Scene(
            "stalled", trouble_s=3.0, overflow="reject", more=["-5"], most=20000
        )
        scene.report(tap, "stalled, overflow = reject")
        check_flood(tap, scene, "reject")
        check_neighbours(tap, scene, "reject")
        refused = [
            one.name
            for one in scene.producers
            if one.name.startswith("m") and "r" in one.outcomes
        ]
        tap.equal(
            (len(refused), scene.done["reconnects"]),
            (2 * flood_scene.PUBLISHERS, 0),
            "reject: each MQTT 5.0 publisher is told 0x97, none is cut off",
        )


def check_judge(tap):
    """A flood in which each fault is planted once, and found."""
    producers = [
        flooding.Producer("a", "t/a", 1, 0, 0, "aaraAu"),
        flooding.Producer("b", "t/b", 2, 0, 0, "aa"),
    ]

    def arrival(connection, position, producer, number, flags="-"):
        return flooding.Arrival(
            connection, position, 0, 1, flags, "t/" + producer, producer, number
        )

    right = [(1, 0, "a", 0), (1, 1, "a", 1), (1, 2, "a", 3), (1, 3, "a", 4)]
    right += [(1, 4, "b", 0), (1, 5, "b", 1)]
    planted = {
        "lost": right[:-1],
        "refused_in": right[:2] + [(1, 2, "a", 2)] + right[2:],
        "twice": right + [(2, 0, "b", 1)],
        "around": right + [(2, 1, "a", 1, "d")],
        "stray": right + [(1, 6, "a", 1)],
        "resent": right + [(1, 6, "a", 4)],
        "unordered": [right[1], right[0]] + right[2:],
        "foreign": right + [(1, 6, "c", 0)],
    }
    verdict = flooding.judge(producers, [arrival(*one) for one in right])
    tap.equal(
        (verdict.wrong(), verdict.accepted, verdict.refused, verdict.unknown),
        ([], 6, 1, 1),
        "the judge finds nothing wrong where nothing is",
    )
    for what, arrivals in planted.items():
        verdict = flooding.judge(producers, [arrival(*one) for one in arrivals])
        tap.equal(
            {k: v for k, v in verdict.counts.items() if k in planted and v},
            {what: 1},
            "the judge finds what is planted: " + what,
        )
    for stray in [(2, 0, "a", 1), (2, flooding.AGAIN, "a", 1, "d")]:
        verdict = flooding.judge(
            producers, [arrival(*one) for one in right + [stray]]
        )
        tap.equal(verdict.stray, 1, "the judge knows what a reconnect is: %r" % (stray,))


def main():
    tap = weir.Tap(limit=1500 if FULL else 380)
    check_judge(tap)
    scenes = {
        name: try_remote(tap, name, 10000 if name == "healthy" else 6000)
        for name in flood_scene.REMOTES
    }
    try_reject(tap)
    healthy = scenes.pop("healthy")
    for name, scene in scenes.items():
        if scene is None or healthy is None:
            continue
        tap.note(
            "unrelated MQTT, p99: %.2f ms beside the healthy remote, %.2f ms "
            "beside one that is %s"
            % (healthy.seen["mqtt"]["p99"], scene.seen["mqtt"]["p99"], name)
        )
    tap.done()


if __name__ == "__main__":
    main()
