# SPDX-License-Identifier: Apache-2.0

"""Rows and peers in turns."""

import time

import results


def chosen(things, words, names):
    """Those with one of these words in a name; all of them without words."""
    wanted = [w.strip().lower() for w in words.split(",") if w.strip()]
    return [
        thing
        for thing in things
        if not wanted or any(w in n.lower() for w in wanted for n in names(thing))
    ]


def row_names(row):
    return [row.key] + [view.title for view in row.views]


def measure_all(rows, peers, rounds, store):
    turns = [
        (round_, row, peer)
        for round_ in range(rounds)
        for row in rows
        for peer in peers
        if row.takes(peer) and round_ < peer.rounds
    ]
    begin = time.monotonic()
    for number, (round_, row, peer) in enumerate(turns):
        results.progress(
            begin,
            number,
            len(turns),
            "round %d/%d: %s, %s" % (round_ + 1, rounds, row.key, peer.name),
        )
        store.note(row.key, peer.name, row.run(peer))
    results.progress(begin, len(turns), len(turns), "done\n")
