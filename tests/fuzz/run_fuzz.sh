#!/bin/sh
# run_fuzz.sh [TARGET...] [RUNS] - build fuzz targets with libFuzzer and run
# each RUNS times (100000), as many at once as there are processors; TAP on
# stdout, how far they are on stderr.  Without a TARGET: all of them.
#
# tests/fuzz/TARGET.c is the target; its other sources and libraries are a
# line of the table below.  Seeds are the files of tests/fuzz/corpus/TARGET and
# the lines, in base64, of tests/fuzz/corpus/TARGET.found.
#
# run_fuzz.sh --found TARGET... writes TARGET.found anew: the smallest inputs of
# FUZZ_KEEP (below) and of itself that reach all code which any of them reaches.
#
# CLANG names the compiler; without libFuzzer everything is skipped.
# FUZZ_JOBS: how many at once.  FUZZ_SEED: other inputs than the last time
# (1).  FUZZ_OBJECTS: a folder to keep objects in, for runs one after another
# of the same sources.  FUZZ_KEEP: a folder for what was found to reach new
# code, a folder a target; it is read as seeds by the next run.

cd "${top_srcdir:-.}" || exit 99

mqtt="common/mqtt/*.c common/msg/topic.c common/base/*.c"

# What a target needs beside its own file.
sources_of() {
	case $1 in
	fuzz_mqtt_*) echo $mqtt ;;
	fuzz_topic) echo common/msg/topic.c common/base/*.c ;;
	fuzz_subscription_tree) echo broker/subscription_*.c broker/mailbox.c \
	    broker/waker.c common/msg/topic.c common/shm/bell.c \
	    common/base/*.c ;;
	fuzz_manage_conf) echo broker/manage_conf.c ;;
	fuzz_proxy) echo broker/proxy_header.c broker/store/crc32c.c ;;
	fuzz_record) echo common/msg/record.c common/base/*.c ;;
	fuzz_ring) echo common/ring/*.c common/shm/*.c common/base/*.c ;;
	fuzz_ring_control) echo common/ring/*.c common/shm/*.c \
	    common/base/*.c ;;
	fuzz_jwt) echo broker/auth_jwt.c broker/auth_jwt_key.c \
	    common/conf/conf*.c common/msg/record.c common/base/*.c ;;
	fuzz_scram) echo broker/scram.c common/net/scram_verifier.c \
	    common/base/*.c ;;
	fuzz_store_record) echo broker/store/store_message.c \
	    broker/store/store_record.c common/base/*.c ;;
	fuzz_websocket) echo common/net/websocket.c \
	    common/net/websocket_head.c common/net/websocket_key.c ;;
	fuzz_websocket_head) echo common/net/websocket_head.c \
	    common/net/websocket_key.c common/base/*.c ;;
	fuzz_websocket_answer) echo common/net/*.c common/base/*.c ;;
	fuzz_http) echo httpd/connection*.c httpd/counters.c \
	    httpd/publish_json.c httpd/request.c httpd/response.c \
	    common/msg/*.c common/net/*.c common/stats/*.c common/shm/*.c \
	    common/base/*.c ;;
	esac
}

# pkg-config names.
packages_of() {
	case $1 in
	fuzz_http) echo jansson libevent openssl ;;
	fuzz_jwt) echo jansson libconfig libsodium openssl ;;
	fuzz_manage_conf) echo jansson libconfig ;;
	fuzz_scram) echo openssl ;;
	fuzz_subscription_tree) echo liburcu-memb liburcu-cds ;;
	fuzz_websocket) echo openssl ;;
	fuzz_websocket_head) echo openssl ;;
	fuzz_websocket_answer) echo libevent libevent_openssl openssl ;;
	esac
}

# A library that has no such file.
libraries_of() {
	case $1 in
	fuzz_http | fuzz_websocket*) echo -lhttp_parser ;;
	esac
}

runs=${FUZZ_RUNS:-100000}
targets= is_to_minimise=
for word; do
	case $word in
	--found) is_to_minimise=yes ;;
	*[!0-9]*) targets="$targets $word" ;;
	*) runs=$word ;;
	esac
done
[ -n "$targets" ] || for file in tests/fuzz/fuzz_*.c; do
	targets="$targets $(basename "$file" .c)"
done

dir=$(mktemp -d "${TMPDIR:-/tmp}/weir-fuzz.XXXXXX") || exit 99
objects=${FUZZ_OBJECTS:-$dir/objects}
running=
cleanup() {
	for entry in $running; do kill "${entry#*:}" 2>/dev/null; done
	wait
	rm -rf "$dir"
}
trap cleanup EXIT
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

compile() { # SOURCE OBJECT CFLAGS...
	source=$1 object=$2
	shift 2
	mkdir -p "${object%/*}"
	"$cc" -std=gnu11 -D_GNU_SOURCE -DPACKAGE_VERSION='"fuzz"' -g -O1 -I. \
	    -pthread "$@" -fsanitize=fuzzer-no-link,address,undefined \
	    -fno-sanitize-recover=all -c "$source" -o "$object.$$.new" &&
		mv "$object.$$.new" "$object"
}

# build TARGET: 0, or what failed is in $dir/TARGET.log.
build() {
	cflags= ldflags= files=
	packages=$(packages_of "$1")
	if [ -n "$packages" ]; then
		cflags=$(pkg-config --cflags $packages) || return
		ldflags=$(pkg-config --libs $packages) || return
	fi
	for source in "tests/fuzz/$1.c" $(sources_of "$1"); do
		object=$objects/${source%.c}.o
		files="$files $object"
		[ -f "$object" ] || compile "$source" "$object" $cflags || return
	done
	"$cc" -pthread -fsanitize=fuzzer,address,undefined $files \
	    $ldflags $(libraries_of "$1") -o "$dir/$1"
}

# Seeds of TARGET, for libFuzzer to read: folders.
seeds_of() {
	[ ! -d "tests/fuzz/corpus/$1" ] || echo "tests/fuzz/corpus/$1"
	[ -f "tests/fuzz/corpus/$1.found" ] || return 0
	mkdir -p "$dir/seeds/$1"
	line_number=0
	while read -r line; do
		line_number=$((line_number + 1))
		echo "$line" | base64 -d >"$dir/seeds/$1/$line_number"
	done <"tests/fuzz/corpus/$1.found"
	echo "$dir/seeds/$1"
}

# run TARGET: new inputs go to a directory of our own, seeds are only read.
run() {
	found=${FUZZ_KEEP:-$dir/found}/$1
	mkdir -p "$found"
	exec "$dir/$1" -runs="$runs" -seed="${FUZZ_SEED:-1}" -max_len=4096 \
	    -timeout=10 -print_final_stats=1 -artifact_prefix="$dir/$1." \
	    "$found" $(seeds_of "$1")
}

# minimise TARGET: write its corpus/TARGET.found.
minimise() {
	mkdir -p "$dir/few" "${FUZZ_KEEP:-$dir/found}/$1"
	"$dir/$1" -merge=1 -use_counters=0 -max_len=1024 "$dir/few" \
	    $(seeds_of "$1") "${FUZZ_KEEP:-$dir/found}/$1" 2>"$dir/$1.log" ||
		return
	for input in "$dir/few"/*; do
		base64 -w0 "$input"
		echo
	done | grep . | LC_ALL=C sort >"tests/fuzz/corpus/$1.found"
	rm -rf "$dir/few"
}

# The end of the log, and the input that did it, as comments.
explain() { # TARGET
	tail -40 "$dir/$1.log" | sed 's/^/# /'
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

# Objects are shared by targets: these are built one after another, and run
# side by side.  An entry of `running` is TARGET:PID.
jobs=${FUZZ_JOBS:-$(nproc)}
number=0 failed=0 running= waited=0

tell() { # TARGET STATUS
	number=$((number + 1))
	if [ "$2" = 0 ]; then
		echo "ok $number - $1 survives $runs inputs"
	else
		explain "$1"
		echo "not ok $number - $1 survives $runs inputs"
		failed=1
	fi
}

# How far those are that run.
progress() {
	for entry in $running; do
		sed -n 's/^#\([0-9]*\)\t.*/\1/p' "$dir/${entry%:*}.log" |
			tail -1 | sed "s|.*|${entry%:*}: & of $runs|" >&2
	done
}

# Let those that have ended go, until fewer than COUNT run.
reap() { # COUNT
	while :; do
		still=
		for entry in $running; do
			if kill -0 "${entry#*:}" 2>/dev/null; then
				still="$still $entry"
			else
				wait "${entry#*:}"
				tell "${entry%:*}" $?
			fi
		done
		running=$still
		[ "$(echo $running | wc -w)" -ge "$1" ] || return 0
		sleep 0.2
		waited=$((waited + 1))
		[ $((waited % 150)) != 0 ] || progress
	done
}

set -- $targets
if [ -n "$is_to_minimise" ]; then
	for target; do
		build "$target" >"$dir/$target.log" 2>&1 && minimise "$target" || {
			explain "$target" >&2
			exit 1
		}
		wc -l "tests/fuzz/corpus/$target.found"
	done
	exit 0
fi
echo "1..$#"
for target; do
	reap "$jobs"
	if build "$target" >"$dir/$target.log" 2>&1; then
		run "$target" >"$dir/$target.log" 2>&1 &
		running="$running $target:$!"
	else
		tell "$target" 99
	fi
done
reap 1
exit $failed
