#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# run_models.sh - search the models of the rings' protocol for a bad state.
#
#	run_models.sh [--quick | --full] [MODEL...]
#
# Each model names in its head what is searched: "quick:" takes seconds,
# "full:" is all of it and takes minutes and gigabytes.  Every state is
# visited (no hashing that could miss one); a search that does not end within
# its time and memory has failed.  A model also lists faults; each is planted
# in turn and must be found, in the quick size, else the model proves nothing.
# The output is TAP.  Temporary files go to $TMPDIR.
set -u -o pipefail

here=$(dirname "$(realpath "$0")")
size=quick models=''

usage() {
	sed -n 's/^#\t\(run_models.sh .*\)/usage: \1/p' "$0" >&2
	exit 64
}

bail_out() {
	echo "Bail out! $1"
	exit 1
}

while [ $# -gt 0 ]; do
	case $1 in
	--quick) size=quick ;;
	--full) size=full ;;
	-*) usage ;;
	*)
		[ -f "$here/$1.pml" ] || {
			echo "run_models.sh: no model \"$1\" in $here" >&2
			exit 64
		}
		models="$models $1"
		;;
	esac
	shift
done
[ -n "$models" ] || models=$(cd "$here" && basename -s .pml -- *.pml)
command -v spin >/dev/null || bail_out "spin is missing: apt install spin"

case $size in
quick) seconds=200 megabytes=2000 ;;
full) seconds=1800 megabytes=9000 ;;
esac

work=$(mktemp -d "${TMPDIR:-/tmp}/weir-model.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 143' INT TERM HUP

# search MODEL OPTIMISATION DEFINES...: one search; what it says in $work/log.
search() {
	local source=$here/$1.pml optimisation=$2
	shift 2
	rm -f "$work"/*
	(
		cd "$work" || exit 1
		spin -a "$@" "$source" || exit 1
		"${CC:-cc}" "$optimisation" -w -DSAFETY -DCOLLAPSE \
			-DMEMLIM=$megabytes -o pan pan.c || exit 1
		timeout -k 5 $seconds ./pan -m1000000
	) >"$work/log" 2>&1
}

# What a search that came to its end says: "found" or "clean"; else "".
verdict() {
	if grep -q 'max search depth too small\|reached -DMEMLIM' "$work/log"
	then
		return
	fi
	sed -n 's/.*errors: \([0-9]*\)$/\1/p' "$work/log" |
		sed 's/^0$/clean/; s/^[1-9].*/found/'
}

states() {
	sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' "$work/log"
}

number=0 failures=0

# judge VERDICT TEXT
judge() {
	local ok=ok
	number=$((number + 1))
	[ "$(verdict)" = "$1" ] || {
		ok="not ok"
		failures=$((failures + 1))
		tail -n 30 "$work/log" | sed 's/^/# /'
	}
	echo "$ok $number - $2"
}

defines_of() { # MODEL SIZE
	sed -n "s/^ \* $2: //p" "$here/$1.pml"
}

# Each fault's name and number.
faults_of() {
	sed -n 's,^#define \([A-Z_]*\) \([0-9]*\) */\* FAULT: .*,\1 \2,p' \
		"$here/$1.pml"
}

plan=0
for model in $models; do
	[ -n "$(defines_of "$model" $size)" ] ||
		bail_out "$model.pml has no line \"$size:\""
	[ -n "$(faults_of "$model")" ] || bail_out "$model.pml has no faults"
	plan=$((plan + 1 + $(faults_of "$model" | wc -l)))
done
echo "1..$plan"

for model in $models; do
	defines=$(defines_of "$model" $size)
	started=$SECONDS
	# shellcheck disable=SC2086
	search "$model" -O2 $defines
	judge clean "$model holds, $defines"
	echo "# $model: $(states) states, all of $defines," \
		"$((SECONDS - started)) s"
	defines=$(defines_of "$model" quick)
	while read -r fault value; do
		# shellcheck disable=SC2086
		search "$model" -O0 $defines "-DFAULT=$value"
		judge found "$model: $fault is found"
	done < <(faults_of "$model")
done
[ $failures = 0 ]
