#!/bin/sh
# check_man.sh - every manual page, as built, must pass mandoc's linter.

source=$(cd "${top_srcdir:-.}" && pwd) || exit 99
build=$(cd "${top_builddir:-.}" && pwd) || exit 99
if test "${MANDOC:-no}" = no; then
	echo "1..0 # SKIP mandoc is not installed"
	exit 0
fi
set -- "$build"/man/*.[1-9]
test "$source" = "$build" || set -- "$@" "$source"/man/*.[1-9]
echo "1..$#"
number=0
for page; do
	number=$((number + 1))
	if lint=$("$MANDOC" -T lint -W warning "$page" 2>&1); then
		echo "ok $number - ${page##*/} is clean"
	else
		echo "$lint" | sed 's/^/# /'
		echo "not ok $number - ${page##*/} is clean"
	fi
done
