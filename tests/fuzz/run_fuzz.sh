#!/bin/sh
# run_fuzz.sh [TARGET...] [RUNS] - build fuzz targets with libFuzzer and run
# each RUNS times (100000); TAP on stdout.  Without a TARGET: all of them.
#
# tests/fuzz/TARGET.c is the target; its other sources and libraries are a
# line of the table below.  Seeds are the files of tests/fuzz/corpus/TARGET.
# CLANG names the compiler; without libFuzzer everything is skipped.

cd "${top_srcdir:-.}" || exit 99

all="fuzz_mqtt fuzz_http fuzz_jwt fuzz_ring fuzz_store_record fuzz_websocket"

# What a target needs beside its own file.
sources_of() {
	case $1 in
	fuzz_mqtt) echo common/mqtt/*.c common/msg/*.c common/base/*.c ;;
	fuzz_ring) echo common/ring/*.c common/shm/*.c common/base/*.c ;;
	fuzz_jwt) echo broker/auth_jwt.c broker/auth_jwt_key.c \
	    common/conf/conf*.c common/msg/record.c common/base/*.c ;;
	fuzz_store_record) echo broker/store/store_message.c \
	    broker/store/store_record.c common/base/*.c ;;
	fuzz_websocket) echo common/net/websocket.c ;;
	fuzz_http) echo httpd/connection*.c httpd/counters.c \
	    httpd/publish_json.c httpd/request.c httpd/response.c \
	    common/msg/*.c common/net/*.c common/stats/*.c common/shm/*.c \
	    common/base/*.c ;;
	esac
}

# pkg-config names; -l is for a library that has no such file.
packages_of() {
	case $1 in
	fuzz_http) echo jansson libevent openssl ;;
	fuzz_jwt) echo jansson libconfig libsodium openssl ;;
	esac
}

libraries_of() {
	case $1 in
	fuzz_http) echo -lhttp_parser ;;
	esac
}

runs=${FUZZ_RUNS:-100000}
targets=
for word; do
	case $word in
	*[!0-9]*) targets="$targets $word" ;;
	*) runs=$word ;;
	esac
done
targets=${targets:-$all}

dir=$(mktemp -d "${TMPDIR:-/tmp}/weir-fuzz.XXXXXX") || exit 99
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM

# The first compiler that links a program with libFuzzer.
find_compiler() {
	echo 'int LLVMFuzzerTestOneInput(const char *p, unsigned long n);
	int LLVMFuzzerTestOneInput(const char *p, unsigned long n)
	{ return p == 0 && n == 1; }' >"$dir/probe.c"
	for try in ${CLANG:-clang-14 clang}; do
		"$try" -fsanitize=fuzzer,address,undefined "$dir/probe.c" \
		    -o "$dir/probe" 2>/dev/null || continue
		echo "$try"
		return
	done
}

# build TARGET: 0, or what failed is in $dir/log.
build() {
	cflags= ldflags=
	packages=$(packages_of "$1")
	if [ -n "$packages" ]; then
		cflags=$(pkg-config --cflags $packages 2>"$dir/log") || return
		ldflags=$(pkg-config --libs $packages 2>"$dir/log") || return
	fi
	"$cc" -std=gnu11 -D_GNU_SOURCE -DPACKAGE_VERSION='"fuzz"' -g -O1 -I. \
	    -pthread $cflags -fsanitize=fuzzer,address,undefined \
	    -fno-sanitize-recover=all "tests/fuzz/$1.c" $(sources_of "$1") \
	    $ldflags $(libraries_of "$1") -o "$dir/$1" 2>"$dir/log"
}

# run TARGET: new inputs go to a directory of our own, seeds are only read.
run() {
	seeds=tests/fuzz/corpus/$1
	[ -d "$seeds" ] || seeds=
	mkdir -p "$dir/$1.found"
	"$dir/$1" -runs="$runs" -seed=1 -max_len=4096 -timeout=10 \
	    -artifact_prefix="$dir/$1." "$dir/$1.found" $seeds \
	    >"$dir/log" 2>&1
}

# The end of the log, and the input that did it, as comments.
explain() {
	tail -40 "$dir/log" | sed 's/^/# /'
	for input in "$dir/$1".crash-* "$dir/$1".timeout-* \
	    "$dir/$1".oom-* "$dir/$1".leak-*; do
		[ ! -f "$input" ] || echo "# input: $(base64 -w0 "$input")"
	done
}

cc=$(find_compiler)
if [ -z "$cc" ]; then
	echo "1..0 # SKIP no clang with libFuzzer: install clang-14"
	exit 0
fi

set -- $targets
echo "1..$#"
number=0 failed=0
for target; do
	number=$((number + 1))
	if build "$target" && run "$target"; then
		echo "ok $number - $target survives $runs inputs"
		continue
	fi
	explain "$target"
	echo "not ok $number - $target survives $runs inputs"
	failed=1
done
exit $failed
