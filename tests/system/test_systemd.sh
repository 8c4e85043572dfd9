#!/bin/bash
# SPDX-License-Identifier: Apache-2.0

# test_systemd.sh - install below a DESTDIR, boot a real systemd in namespaces
# with that tree in it, and try the units there: systemd_in_box.sh.
set -u -o pipefail

SOURCE=${WEIR_SOURCE:-$(dirname "$(realpath "$0")")/../..}
BUILD=${WEIR_BUILD:-$PWD}

# What the programs and the test need inside; libraries by their run-time
# packages.
PACKAGES="libevent-2.1-7 libevent-openssl-2.1-7 libevent-pthreads-2.1-7 libssl3
libjansson4 liburcu8 libconfig9 libsodium23 libsystemd0 libseccomp2
libsmartcols1 libncurses6 libtinfo6 libhttp-parser2.9 mosquitto
mosquitto-clients curl"

skip() {
	echo "1..0 # SKIP $*"
	exit 0
}

[ "$(id -u)" = 0 ] || skip "needs root"
command -v apt-get >/dev/null 2>&1 || skip "needs apt"
unshare --mount --pid --fork true 2>/dev/null || skip "needs namespaces"
[ -w /sys/fs/cgroup ] || skip "needs cgroups that can be written"

work=$(mktemp -d "${TMPDIR:-/tmp}/weir-sd.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 143' TERM INT HUP

# A build tree of its own: paths are /usr and /etc there, and units go where
# systemd looks, whatever the machine at hand is.
unit_dir=/lib/systemd/system
mkdir "$work/build" && cd "$work/build" || exit 1
log=$work/build.log
CFLAGS='-O1 -g' "$SOURCE/configure" --prefix=/usr --sysconfdir=/etc \
	--localstatedir=/var --with-systemdsystemunitdir=$unit_dir \
	>"$log" 2>&1 &&
	make -j"$(nproc)" all >>"$log" 2>&1 &&
	make install DESTDIR="$work/root" >>"$log" 2>&1 || {
	tail -n 20 "$log" | sed 's/^/# /'
	echo "1..1"
	echo "not ok 1 - make install with DESTDIR"
	exit 1
}
mkdir -p "$work/root/test"
cp "$SOURCE/tests/system/systemd_in_box.sh" "$work/root/test/"

# shellcheck disable=SC2086
"$SOURCE/tests/tools/systemd-box" --copy "$work/root:/" \
	--packages "$(echo $PACKAGES)" --timeout 240 --workdir /test \
	-- /bin/bash /test/systemd_in_box.sh 2>"$work/box.log" >"$work/tap"
status=$?
if [ $status = 125 ]; then
	sed 's/^/# /' "$work/box.log"
	skip "systemd-box cannot work here: $(tail -n 1 "$work/box.log")"
fi
[ $status = 0 ] || sed 's/^/# /' "$work/box.log"
cat "$work/tap"
exit $status
