#!/bin/bash
# run_torture.sh PART... [--smoke] - build what a part needs and run it; TAP.
#
# The parts, and what each does, are in tests/torture/README.md.  --smoke is
# the bounded form that ./run-tests runs.  TORTURE_DIR is where things are
# built (a temporary directory), TORTURE_SEED the seed of what is random.
set -u -o pipefail

cd "${top_srcdir:-.}" || exit 99

parts='' smoke=no
for word; do
	case $word in
	--smoke) smoke=yes ;;
	*) parts="$parts $word" ;;
	esac
done

dir=${TORTURE_DIR:-}
if [ -z "$dir" ]; then
	dir=$(mktemp -d "${TMPDIR:-/tmp}/weir-torture.XXXXXX") || exit 99
	trap 'rm -rf "$dir"' EXIT
fi
mkdir -p "$dir" || exit 99
trap 'exit 1' HUP INT TERM
seed=${TORTURE_SEED:-$(date +%s)}

# full_or_smoke FULL SMOKE
full_or_smoke() {
	[ $smoke = yes ] && echo "$2" || echo "$1"
}

build() {
	tests/torture/build.sh "$1" "$dir" >"$dir/build.log" 2>&1 || {
		tail -20 "$dir/build.log" | sed 's/^/# /'
		echo "Bail out! $1 does not build"
		return 1
	}
}

# A kernel with much address randomness needs it switched off.
wrap=()
setarch -R true 2>/dev/null && wrap=(setarch -R)

part_steps() {
	build rings && "$dir/torture_rings" steps "$(full_or_smoke 128 32)"
}

part_random() {
	build rings &&
		"$dir/torture_rings" random "$(full_or_smoke 20000 500)" "$seed"
}

# The build takes longer than all else: not for a smoke test.
part_programs() {
	build programs && WEIR_BUILD="$dir/programs" \
		tests/torture/torture_programs.py \
		"$(full_or_smoke 600 60)" "$seed"
}

# The programs in WEIR_BUILD, or those that `make torture` has built.
part_journal() {
	WEIR_BUILD=${WEIR_BUILD:-${TORTURE_BUILD:-$PWD}} tests/torture/torture_journal.py \
		"$(full_or_smoke 1000 50)" "$seed"
}

part_faults() {
	# shellcheck disable=SC2046
	build faults &&
		WEIR_BUILD=${WEIR_BUILD:-${TORTURE_BUILD:-$PWD}} \
			tests/torture/torture_faults.py "$dir/fail_nth.so" \
			$(full_or_smoke '' 4)
}

part_faults_httpd() {
	# shellcheck disable=SC2046
	build faults &&
		WEIR_BUILD=${WEIR_BUILD:-${TORTURE_BUILD:-$PWD}} \
			tests/torture/torture_faults_httpd.py "$dir/fail_nth.so" \
			$(full_or_smoke '' 30)
}

# attack ROLE: on the programs in WEIR_BUILD, or on those built for it.
attack() {
	build hostile || return
	if [ -z "${WEIR_BUILD:-}" ]; then
		build asan || return
		export WEIR_BUILD="$dir/asan"
	fi
	WEIR_HOSTILE="$dir/hostile" tests/torture/torture_hostile.py "$1" \
		"$(full_or_smoke 600 8)" "$seed"
}

part_hostile_httpd() {
	attack httpd
}

part_hostile_bridge() {
	attack bridge
}

part_tsan() {
	build tsan && "${wrap[@]}" "$dir/torture_tsan" \
		"$(full_or_smoke 10000000 500000)"
}

# A test that cannot fail is none: each order of memory, weakened, is seen.
part_planted() {
	local place bad=0 number=0
	for place in head_store head_load tail_store tail_load; do
		number=$((number + 1))
		build "tsan_$place" || return
		if "${wrap[@]}" "$dir/torture_tsan_$place" 100000 \
			>"$dir/planted.out" 2>&1 ||
			! grep -q 'data race' "$dir/planted.out"; then
			printf 'not '
			bad=1
		fi
		echo "ok $number - a relaxed $place is reported"
	done
	echo "1..$number"
	return $bad
}

# The same for the store: each fault is found by one of its unit tests.
part_planted_store() {
	tests/torture/planted_store.sh "$dir"
}

failed=0
for part in $parts; do
	if ! declare -F "part_$part" >/dev/null; then
		echo "run_torture.sh: no part \"$part\"; see its README.md" >&2
		exit 64
	fi
	echo "# torture: $part"
	"part_$part" || failed=1
done
exit $failed
