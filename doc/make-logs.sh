#!/bin/sh
# make-logs.sh - write doc/LOGS.md: every event that a program may log.
#
# usage: doc/make-logs.sh [SOURCE-FOLDER] > doc/LOGS.md

cd "${1:-.}" || exit 1
cat <<'HEAD'
# Log events

Made by doc/make-logs.sh from the code; `make check` compares. A line is
`event=NAME key=value ...`; names are stable. *error*: someone must act;
*warning*: we coped; *info*: a life event; *debug*: with `-v` only.

| event | level | logged in |
|---|---|---|
HEAD
find common broker httpd bridged ctl -name '*.c' | sort | xargs awk '
	FNR == 1 { pending = "" }
	{
		line = pending $0
		pending = ""
		if (line ~ /log_(error|warning|info|debug)\($/) {
			pending = line
			next
		}
		while (match(line, /log_(error|warning|info|debug)\([ \t]*"[a-z0-9_]+"/)) {
			call = substr(line, RSTART + 4, RLENGTH - 4)
			line = substr(line, RSTART + RLENGTH)
			level = call
			sub(/\(.*/, "", level)
			sub(/^[^"]*"/, "", call)
			sub(/"$/, "", call)
			print "| " call " | " level " | " FILENAME " |"
		}
	}' | LC_ALL=C sort -u
