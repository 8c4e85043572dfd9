# SPDX-License-Identifier: Apache-2.0

"""cases - many small cases of one file, in the order they are written.

	case = cases.Cases()

	@case("PINGREQ is answered")
	def _(run):
		...

	case.run(tap, run)

A name says what is shown, and by MQTT-x.y.z-n (5.0) or MQTT3-x.y.z-n
(3.1.1) in brackets which statements that is: doc/CONFORMANCE.md is made from
the names.
fresh() gives client identifiers and topics that no other case uses.
"""

import itertools

_numbers = itertools.count(1)


def fresh(stem="c"):
    """A name of letters and digits that nobody else has."""
    return "%s%d" % (stem, next(_numbers))


class Cases:
    def __init__(self):
        self.all = []

    def __call__(self, name):
        def keep(body):
            self.all.append((name, body))
            return body

        return keep

    def run(self, tap, *given):
        for name, body in self.all:
            with tap.case(name):
                body(*given)
