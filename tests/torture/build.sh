#!/bin/sh
# build.sh WHAT DIRECTORY - compile a torture program into a directory.
#
#	rings	torture_rings: its memory accesses are counted by steps.c
#	programs
#		all of Weir in DIRECTORY/programs, counted by steps.c, with a
#		supervisor that starts again at once whatever has died
#	hostile	hostile: the attacker
#	faults	fail_nth.so, to preload: it has the n-th call fail
#	asan	all of Weir in DIRECTORY/asan, AddressSanitizer and UBSan
#	tsan	torture_tsan: ThreadSanitizer
#	tsan_PLACE	the same with a fault planted there: see plant()
#
# Not by make: each has compiler flags of its own.  CLANG names the compiler.

set -eu
cd "${top_srcdir:-.}" || exit 99

for cc in ${CLANG:-clang-14 clang}; do
	command -v "$cc" >/dev/null && break
done

FLAGS="-std=gnu11 -D_GNU_SOURCE -g -O1 -I. -pthread -Wall -Wextra"
FLAGS="$FLAGS -DPACKAGE_VERSION=__FILE__"

# The calls that steps.c wraps.
STEPS_WRAPPED=-Wl,--wrap=mmap,--wrap=munmap,--wrap=memcpy,--wrap=memset
STEPS_WRAPPED=$STEPS_WRAPPED,--wrap=fallocate,--wrap=write,--wrap=send
STEPS_WRAPPED=$STEPS_WRAPPED,--wrap=sendmsg

# compile DIRECTORY FLAGS SOURCE...: objects, in as many jobs as processors.
compile() {
	dir=$1 flags=$2
	shift 2
	mkdir -p "$dir"
	for source; do
		echo "$cc $flags -c $source -o $dir/$(echo "$source" | tr / _).o"
	done | xargs -P "$(nproc)" -L 1 env
}

ring_sources() {
	ls common/ring/*.c common/shm/*.c common/base/*.c
}

build_rings() {
	rm -rf "$1/rings"
	# shellcheck disable=SC2046
	compile "$1/rings" "$FLAGS -fsanitize=thread" \
		tests/torture/roles.c $(ring_sources)
	compile "$1/rings" "$FLAGS" tests/torture/torture_rings.c \
		tests/torture/world.c tests/torture/steps.c
	"$cc" -pthread $STEPS_WRAPPED "$1"/rings/*.o -o "$1/torture_rings"
}

# The tree is copied, for the supervisor's sake.
build_programs() {
	rm -rf "$1/source" "$1/programs"
	mkdir -p "$1/source" "$1/programs"
	dir=$(realpath "$1")
	ls -d * | grep -v '^build-[^a]' | tr '\n' '\0' |
		tar -c --null -T - | tar -x -C "$dir/source"
	sed -i 's/^\(#define BACKOFF_MAX_NS\) .*/\1 BACKOFF_MIN_NS/' \
	    "$dir/source/ctl/supervisor.c"
	if cmp -s ctl/supervisor.c "$dir/source/ctl/supervisor.c"; then
		echo "build.sh: the supervisor has no BACKOFF_MAX_NS" >&2
		exit 1
	fi
	"$cc" $FLAGS -c tests/torture/steps.c -o "$dir/steps.o"
	cd "$dir/programs"
	../source/configure CC="$cc" CFLAGS='-g -O1 -fsanitize=thread' \
	    LDFLAGS="-fno-sanitize=thread $STEPS_WRAPPED $dir/steps.o"
	make -j"$(nproc)" programs
}

build_faults() {
	"$cc" $FLAGS -fPIC -shared tests/torture/fail_nth.c -o "$1/fail_nth.so"
}

build_hostile() {
	# shellcheck disable=SC2046
	"$cc" $FLAGS tests/torture/hostile.c $(ring_sources) -o "$1/hostile"
}

build_asan() {
	rm -rf "$1/asan"
	mkdir -p "$1/asan"
	source=$(realpath .)
	cd "$1/asan"
	"$source/configure" --enable-sanitizers CFLAGS='-O1 -g'
	make -j"$(nproc)" programs
}

# plant PLACE DIRECTORY: spoil a copy of the sources, so that a report is due.
plant() {
	case $1 in
	head_store) file=ring_producer.c
		order='/m\.head->word, word/s/_release/_relaxed/' ;;
	head_load) file=ring_consumer.c
		order='/m\.head->word, memory/s/_acquire/_relaxed/' ;;
	tail_store) file=ring_consumer.c
		order='/own->tail, word/s/_release/_relaxed/' ;;
	tail_load) file=ring_producer.c
		order='/peer->tail, memory/s/_acquire/_relaxed/' ;;
	*) echo "build.sh: no place \"$1\"" >&2; exit 64 ;;
	esac
	sed -i "$order" "$2/$file"
	if cmp -s "common/ring/$file" "$2/$file"; then
		echo "build.sh: $file has no $1 that can be spoilt" >&2
		exit 1
	fi
}

# build_tsan DIRECTORY [PLACE]
build_tsan() {
	dir=$1/tsan$2
	rm -rf "$dir"
	mkdir -p "$dir/source"
	cp common/ring/ring_consumer.c common/ring/ring_producer.c \
	    common/ring/ring_producer_attach.c \
	    common/ring/ring_producer_grow.c common/ring/ring_resize.c \
	    "$dir/source"
	[ -z "$2" ] || plant "$2" "$dir/source"
	"$cc" $FLAGS -fsanitize=thread tests/torture/torture_tsan.c \
	    "$dir"/source/*.c common/shm/memfd.c common/base/bug.c \
	    common/base/clock.c common/base/log.c common/base/utf8.c \
	    -o "$1/torture_tsan${2:+_$2}"
}

case ${1-} in
tsan) build_tsan "$2" "" ;;
tsan_*) build_tsan "$2" "${1#tsan_}" ;;
asan) build_asan "$2" ;;
faults) build_faults "$2" ;;
hostile) build_hostile "$2" ;;
programs) build_programs "$2" ;;
rings) build_rings "$2" ;;
*) echo "usage: build.sh WHAT DIRECTORY" >&2; exit 64 ;;
esac
