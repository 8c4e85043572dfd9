#!/bin/sh
# make-counters.sh - write doc/COUNTERS.md: every counter of every program.
#
# usage: doc/make-counters.sh [SOURCE-FOLDER] > doc/COUNTERS.md

cd "${1:-.}" || exit 1
cat <<'HEAD'
# Counters

Made by doc/make-counters.sh from the tables the programs count by;
`make check` compares. They lie in shared memory; those of weir-broker and
weir-httpd are in `GET /metrics` as weir_PROGRAM_NAME, counters with _total,
times (_ns) as _seconds. `doc/grafana/weir.json` is a dashboard of them.
HEAD
for program in broker httpd bridged; do
	printf '\n## weir-%s\n\n| name | kind | |\n|---|---|---|\n' "$program"
	# A row may go over several lines, its sentence over several strings.
	awk '
	/^STAT\(/ { row = "" ; reading = 1 }
	reading {
		sub(/^[ \t]+/, "")
		row = row $0
		if (/\)$/) {
			reading = 0
			sub(/^STAT\(/, "", row)
			sub(/\)$/, "", row)
			gsub(/" *"/, "", row)
			split(row, part, /, */)
			kind = tolower(part[1])
			name = part[2]
			sub(/^[^"]*"/, "", row)
			sub(/"$/, "", row)
			print "| " name " | " kind " | " row " |"
		}
	}' "$program/counters.def"
done
