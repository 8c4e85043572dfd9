#!/bin/bash
# planted_store.sh DIRECTORY - plant one fault after the other in broker/store
# and see that a test of it fails.  TAP.  A copy of what is needed is built in
# DIRECTORY; CC names the compiler.
set -u -o pipefail

cd "${top_srcdir:-.}" || exit 99
dir=$1/planted_store
cc=${CC:-gcc}
flags="-std=gnu11 -D_GNU_SOURCE -g -O1 -w -I. -pthread -DPACKAGE_VERSION=__FILE__"

# what is wrong | found by | file | how (sed)
faults='
the last commit is not synced|power|store_commit|/if (store->spec.is_synced && must_sync)/s/must_sync/0/
a new segment is not synced|power|store_commit|s/if (err == 0 \&\& store->spec.is_synced)/if (0)/
a new name is not synced|power|store_commit|s/err = io->sync_directory(io->context);/err = 0;/
a commit without a sync is forgotten when the file changes|faults|store_commit|s/err = sync_active(store);/err = 0;/
an error is acknowledged|faults|store_commit|s/^\treturn err;$/\treturn err == -5 ? 0 : err;/
a file is trusted after a failed sync|faults|store_commit|s/^\tstore->is_broken = true;$/\t;/
a file with deliveries that wait is used again|faults|store_space|s/segment->live == 0 \&\&/1 \&\&/
a file that no checkpoint covers is used again|power|store_space|s/last <= store->covered/1/
the newest checkpoint alone lets files go|flip|store_checkpoint|s/store->covered = store->checkpoint_sequence;/store->covered = checkpoint->head.sequence;/
a checkpoint is not synced|power|checkpoint_file|s/err = io->sync(io->context, writer->file);/err = 0;/
a merged file is not synced|faults|store_merge|s/err = io->sync(io->context, merge->file);/err = 0;/
a floor is one too far|power|store_cursors|s/^\tcursor->floor = floor;/\tcursor->floor = floor + 1;/
the end of the segment before is ignored|faults|store_chain|s/bounds.end = next->header.before_end;/;/
a batch says that all before it was synced|power|store_append|s/htole64(store->end.durable)/htole64(store->end.last)/
the unsure tail is not written again|faults|store_recover|s/segment->durable < segment->last_sequence/0/
a checksum is not looked at|flip|segment|s/if (le32toh(header.crc) != record_crc(at, bytes))/if (0)/
a checksum is of the body alone|flip|segment|s/crc = crc32c(0, \&header, sizeof(header));/crc = 0;/;s/crc32c(0, out, bytes)/crc32c(0, out + sizeof(header), bytes - sizeof(header))/
a missing file is not missed|flip|store_recover|s/recovery_tell_missing(\&recovery);/;/
damage is not told|flip|store_scan|s/^\tscan->sink->damaged(scan->sink->context, \&told);/\t;/
'

object() {
	echo "$dir/$(echo "$1" | tr / _).o"
}

compile() {
	$cc $flags -c "$dir/source/$1" -I"$dir/source" -o "$(object "$1")"
}

# The test of a name, with all that was compiled; its output is in $dir/out.
link_and_run() {
	local wrap=''
	[ "$1" = faults ] &&
		wrap=-Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=aligned_alloc
	# shellcheck disable=SC2046,SC2086
	$cc $flags $wrap -o "$dir/test" "$(object "tests/unit/test_store_$1.c")" \
		$(for source in $sources; do object "$source"; done) \
		$(pkg-config --libs check) || return 99
	timeout 300 "$dir/test" >"$dir/out" 2>&1
}

rm -rf "$dir"
mkdir -p "$dir/source/tests"
cp -r broker common "$dir/source/" && cp -r tests/unit "$dir/source/tests/"
cd "$dir/source" || exit 99
tests='faults flip model power'
sources=$(ls broker/store/*.c common/base/*.c tests/unit/store_{sim,sim_disk}.c \
	tests/unit/store_{model,script,twin,twin_see,twin_check}.c \
	tests/unit/unit_memory.c)
for source in $sources $(printf 'tests/unit/test_store_%s.c ' $tests); do
	compile "$source" || { echo "Bail out! $source"; exit 1; }
done

number=0 bad=0
result() { # STATUS TEXT
	number=$((number + 1))
	[ "$1" = 0 ] || { printf 'not '; bad=1; }
	echo "ok $number - $2"
}

for name in $tests; do
	link_and_run "$name"
	result $? "nothing is wrong: test_store_$name passes"
done
while IFS='|' read -r what name file how; do
	[ -n "$what" ] || continue
	source=broker/store/$file.c
	cp "$source" "$dir/whole.c"
	sed -i "$how" "$source"
	if cmp -s "$source" "$dir/whole.c" || ! compile "$source"; then
		result 1 "$what: it could not be planted"
	else
		link_and_run "$name"
		status=$?
		[ $status != 0 ] && [ $status != 99 ]
		result $? "$what: test_store_$name finds it"
		grep -a '^not ok' "$dir/out" | head -1 | sed 's/^/# /'
	fi
	cp "$dir/whole.c" "$source"
	compile "$source"
done <<<"$faults"
echo "1..$number"
exit $bad
