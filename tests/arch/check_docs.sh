#!/bin/sh
# check_docs.sh - the pages in doc/ that are made from the code match it, and
# what doc/RING.md names is there.

cd "${top_srcdir:-.}" || exit 99

compare() { # compare NUMBER SCRIPT PAGE
	if difference=$("doc/$2" | diff - "doc/$3"); then
		echo "ok $1 - doc/$3 matches the code"
	else
		echo "$difference" | sed 's/^/# /'
		echo "# make it again: doc/$2 > doc/$3"
		echo "not ok $1 - doc/$3 matches the code"
	fi
}

# Every name in it is of a function, a test, or a file.
check_names() { # check_names NUMBER PAGE
	missing=$(grep -o '`[a-z]*_[a-z_]*`' "doc/$2" | tr -d '`' | sort -u |
		while read -r name; do
			grep -rqw "$name" common broker tests || echo "$name"
		done)
	if [ -z "$missing" ]; then
		echo "ok $1 - what doc/$2 names is there"
	else
		echo "# not there:" $missing
		echo "not ok $1 - what doc/$2 names is there"
	fi
}

# Marks of clauses in code and tests name statements of the standards.
check_marks() { # check_marks NUMBER
	if unknown=$(sh doc/make-conformance.sh --unknown); then
		echo "ok $1 - every mark of a statement names one that there is"
	else
		echo "$unknown" | sed 's/^/# no such statement: /'
		echo "# the statements are in doc/conformance-*.tsv"
		echo "not ok $1 - every mark of a statement names one that there is"
	fi
}

echo 1..5
compare 1 make-logs.sh LOGS.md
compare 2 make-counters.sh COUNTERS.md
check_names 3 RING.md
compare 4 make-conformance.sh CONFORMANCE.md
check_marks 5
