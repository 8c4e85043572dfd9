#!/bin/bash
# SPDX-License-Identifier: Apache-2.0

# systemd_box.sh - sourced by test_systemd*.sh: install below a DESTDIR, boot
# a real systemd in namespaces with that tree in it, run one program there.
#
#	box_run SECONDS PROGRAM FILE...
#
# copies the FILEs of tests/system to /test of the box, runs /test/PROGRAM,
# passes its TAP on, and exits as it does.

SOURCE=${WEIR_SOURCE:-$(dirname "$(realpath "$0")")/../..}
BUILD=${WEIR_BUILD:-$PWD}

# What the programs and the tests need inside; libraries by their run-time
# packages.  One list for all tests: they share one root.
PACKAGES="libevent-2.1-7 libevent-openssl-2.1-7 libevent-pthreads-2.1-7 libssl3
libjansson4 liburcu8 libconfig9 libsodium23 libsystemd0 libseccomp2
libsmartcols1 libncurses6 libtinfo6 libhttp-parser2.9 mosquitto
mosquitto-clients curl python3"

skip() {
	echo "1..0 # SKIP $*"
	exit 0
}

# A build tree of its own: paths are /usr and /etc there, and units go where
# systemd looks, whatever the machine at hand is.  It stays for the next test.
box_build() { # DESTDIR
	local tree=$BUILD/systemd-tree unit_dir=/lib/systemd/system
	mkdir -p "$tree" && cd "$tree" || return 1
	[ -f Makefile ] || CFLAGS='-O1 -g' "$SOURCE/configure" --prefix=/usr \
		--sysconfdir=/etc --localstatedir=/var \
		--with-systemdsystemunitdir=$unit_dir || return 1
	make -j"$(nproc)" all && make install DESTDIR="$1"
}

box_run() { # SECONDS PROGRAM FILE...
	local limit=$1 program=$2 work status file
	shift 2
	[ "$(id -u)" = 0 ] || skip "needs root"
	command -v apt-get >/dev/null 2>&1 || skip "needs apt"
	unshare --mount --pid --fork true 2>/dev/null ||
		skip "needs namespaces"
	[ -w /sys/fs/cgroup ] || skip "needs cgroups that can be written"

	work=$(mktemp -d "${TMPDIR:-/tmp}/weir-sd.XXXXXX") || exit 1
	# shellcheck disable=SC2064
	trap "rm -rf '$work'" EXIT
	trap 'exit 143' TERM INT HUP
	SOURCE=$(realpath "$SOURCE")
	(box_build "$work/root") >"$work/build.log" 2>&1 || {
		tail -n 20 "$work/build.log" | sed 's/^/# /'
		echo "1..1"
		echo "not ok 1 - make install with DESTDIR"
		exit 1
	}
	mkdir -p "$work/root/test"
	for file in "$program" "$@"; do
		cp "$SOURCE/tests/system/$file" "$work/root/test/" || exit 1
	done

	# shellcheck disable=SC2086
	"$SOURCE/tests/tools/systemd-box" --copy "$work/root:/" \
		--packages "$(echo $PACKAGES)" --timeout "$limit" \
		--workdir /test -- "/test/$program" \
		2>"$work/box.log" >"$work/tap"
	status=$?
	if [ $status = 125 ]; then
		sed 's/^/# /' "$work/box.log"
		skip "systemd-box cannot work here: $(
			tail -n 1 "$work/box.log")"
	fi
	[ $status = 0 ] || sed 's/^/# /' "$work/box.log"
	cat "$work/tap"
	exit $status
}
