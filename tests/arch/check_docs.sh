#!/bin/sh
# check_docs.sh - the pages in doc/ that are made from the code match it.

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

echo 1..2
compare 1 make-logs.sh LOGS.md
compare 2 make-counters.sh COUNTERS.md
