#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""No loss, no reordering: bench/order against the broker, in many scenarios.

Subscribers of MQTT 5.0 and 3.1.1 stand side by side, messages have QoS 0, 1
and 2 in turn.  bench/order.c says what is checked.  Each number of workers is
tried with each durability; WEIR_FULL=1 tries every scenario in all of them,
with more messages and several seeds, else each scenario meets each number of
workers and each durability once.
"""

import os
import subprocess

import weir

FULL = os.environ.get("WEIR_FULL") == "1"
ORDER = os.path.join(weir.BUILD, "bench", "order")
WORKERS = (1, 2, 3, 4)
DURABILITIES = ("process", "none") + (("disk",) if FULL else ())

# Sentence, options, messages of each publisher.
SCENARIOS = (
    ("one to one, topics in turn", "-P 4 -S 4 -T 3", 1500),
    ("one to one, window 1", "-P 4 -S 4 -w 1 -r 1", 100),
    ("window 1000", "-P 2 -S 2 -w 1000 -r 1000 -f all", 3000),
    ("fan-out", "-P 2 -S 12 -f all", 500),
    ("fan-in", "-P 24 -S 2 -f all", 150),
    ("exact filters, retained", "-P 4 -S 4 -T 5 -R -f exact", 600),
    ("overlapping filters", "-P 4 -S 4 -T 2 -f overlap", 600),
    ("QoS 2 granted as 1", "-P 4 -S 4 -g 1 -q 21 -f all", 600),
    ("shared", "-P 8 -S 4 -q 12 -f shared", 600),
    ("shared, members leave", "-P 8 -S 4 -q 01 -c 100 -f shared", 500),
    ("shared, members come back", "-P 4 -S 4 -q 12 -k -c 100 -f shared", 600),
    ("subscribers come back", "-P 4 -S 4 -k -c 150 -f all", 800),
    ("subscribers take over", "-P 4 -S 4 -k -c 150 -o -f all", 800),
    ("publishers come back", "-P 4 -S 4 -C 100 -f all", 800),
    ("both take over", "-P 4 -S 4 -T 2 -k -c 150 -C 120 -o -f overlap", 600),
    ("a slow reader", "-P 2 -S 4 --slow 1 -f all", 600),
    ("a slow reader comes back", "-P 2 -S 4 --slow 1 -k -c 200 -f all", 500),
)


def order(run, number, options, messages, seed):
    """Returns what bench/order says, as a dict; fails with its mistakes."""
    done = subprocess.run(
        [ORDER, "-p", str(run.port), "-n", str(messages), "--seed", str(seed)]
        + ["-N", "%d-%d" % (number, seed), "-t", "60"]
        + options.split(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        timeout=90,
    )
    weir.expect(done.returncode == 0, done.stdout + done.stderr)
    return dict(pair.split("=") for pair in done.stdout.split())


def attempt(tap, run, number, title):
    what, options, messages = SCENARIOS[number]
    with tap.case("%s: %s" % (title, what)):
        # [MQTT-4.6.0-5] [MQTT-4.6.0-6] [MQTT-4.4.0-1] [MQTT-3.3.1-1]
        # [MQTT3-4.6.0-5] [MQTT3-4.6.0-6] [MQTT3-4.4.0-1] [MQTT3-3.3.1-1]
        for seed in range(3 if FULL else 1):
            got = order(run, number, options, messages * (5 if FULL else 1), seed)
            weir.expect(int(got["expected"]) > 0, "nothing was expected: %r" % got)
            if "-c" in options.split() or "-C" in options.split():
                weir.expect(int(got["cuts"]) > 0, "nobody was cut: %r" % got)


def main():
    tap = weir.Tap()
    for d, durability in enumerate(DURABILITIES):
        for workers in WORKERS:
            title = "%s, %d workers" % (durability, workers)
            with tap.case(title + ": the suite starts, and ends in order"), weir.Weir(
                workers=workers,
                durability=durability,
                http=None,
                receive_maximum=1024,
                max_queued_messages=1000000,
                max_queued_bytes="256MiB",
            ) as run:
                for number in range(len(SCENARIOS)):
                    # In the short run: each with two of the four, and both.
                    if FULL or (number + workers + d) % 2 == 0:
                        attempt(tap, run, number, title)
    tap.done()


if __name__ == "__main__":
    main()
