#!/bin/sh
# check_logs.sh - doc/LOGS.md lists exactly the events that the code logs.

cd "${top_srcdir:-.}" || exit 99
echo 1..1
if difference=$(doc/make-logs.sh | diff - doc/LOGS.md); then
	echo "ok 1 - doc/LOGS.md matches the code"
else
	echo "$difference" | sed 's/^/# /'
	echo "# make it again: doc/make-logs.sh > doc/LOGS.md"
	echo "not ok 1 - doc/LOGS.md matches the code"
fi
