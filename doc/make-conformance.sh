#!/bin/sh
# make-conformance.sh - write doc/CONFORMANCE.md: each normative statement of
# MQTT 5.0 and 3.1.1, where it is implemented, and which test shows it.
#
# usage: doc/make-conformance.sh [SOURCE-FOLDER] > doc/CONFORMANCE.md
#        doc/make-conformance.sh --unknown [SOURCE-FOLDER]
#
# The statements are in doc/conformance-*.tsv; one of 3.1.1 is implemented also
# where those of 5.0 are that ask the same.  A mark [MQTT-x.y.z-n] (5.0) or
# [MQTT3-x.y.z-n] (3.1.1) in code says that this implements it; in a test, that
# the assertion or case beside it shows it.  --unknown lists the marks that
# name no statement, and fails if there are any.

list_unknown=
if [ "$1" = --unknown ]; then
	list_unknown=1
	shift
fi
cd "${1:-.}" || exit 1

find common broker httpd bridged ctl bench tests \
	\( -name '*.c' -o -name '*.h' -o -name '*.def' -o -name '*.py' \
	-o -name '*.sh' \) | LC_ALL=C sort |
	xargs awk -v list_unknown="$list_unknown" '
# ---------------------------------------------------------- reading marks

function without_marks(text) {
	gsub(/ *\[MQTT[0-9]*-[^] ]*\]?/, "", text)
	gsub(/^[ :]+|[ :]+$/, "", text)
	gsub(/\|/, "\\|", text)
	return text
}

# The first string literal of a line: the name of a row.
function first_literal(line) {
	match(line, /"[^"]*"/)
	return substr(line, RSTART + 1, RLENGTH - 2)
}

# The text of all string literals of a line.
function literals(line,    out) {
	out = ""
	while (match(line, /"[^"]*"/)) {
		out = out substr(line, RSTART + 1, RLENGTH - 2)
		line = substr(line, RSTART + RLENGTH)
	}
	return out
}

function note(id, file, name,    words, short) {
	if (!(id in says)) {
		unknown[id] = unknown[id] " " file
		return
	}
	if (is_help || file ~ /^bench\//)
		return
	if (!is_test) {
		if (!((id, file) in seen))
			code[id] = code[id] (code[id] == "" ? "" : "<br>") file
		seen[id, file] = 1
		return
	}
	short = file
	sub(/^tests\//, "", short)
	words = short (name == "" ? "" : ": " name)
	if (!((id, words) in seen))
		shown[id] = shown[id] (shown[id] == "" ? "" : "<br>") words
	seen[id, words] = 1
}

# All marks of a text belong to a test of this name.
function note_all(text, file, name,    id) {
	while (match(text, /\[MQTT[0-9]*-[^] ]*\]?/)) {
		id = substr(text, RSTART + 1, RLENGTH - 2)
		note(id, file, name)
		text = substr(text, RSTART + RLENGTH)
	}
}

# Marks above a test of C wait for its name.
function flush_waiting(name) {
	note_all(waiting, previous_file, name)
	waiting = ""
}

function read_c() {
	if ($0 ~ /^START_TEST\(/) {
		enclosing = $0
		gsub(/^START_TEST\(|\).*/, "", enclosing)
		flush_waiting(enclosing)
	} else if ($0 ~ /^END_TEST/)
		enclosing = ""
	if ($0 !~ /\[MQTT[0-9]*-/)
		return
	if ($0 ~ /^[ \t]*\{ *"/)
		note_all($0, FILENAME, without_marks(first_literal($0)))
	else if (enclosing != "")
		note_all($0, FILENAME, enclosing)
	else
		waiting = waiting $0
}

function end_name() {
	enclosing = without_marks(name)
	note_all(name, FILENAME, enclosing)
	in_name = 0
}

function read_python() {
	if (in_name && $0 ~ /^[ \t]*f?"/) {
		name = name literals($0)
		return
	}
	if (in_name)
		end_name()
	if ($0 ~ /case\($/) {
		in_name = 1
		name = ""
	} else if ($0 ~ /case\(.*"/) {
		name = literals($0)
		end_name()
	} else if ($0 ~ /^[ \t]*\("/ ||
	    ($0 ~ /^[ \t]*"/ && previous ~ /^[ \t]*\($/))
		note_all($0, FILENAME, without_marks(first_literal($0)))
	else {
		if ($0 ~ /^ *def [^_]/) {
			enclosing = $0
			gsub(/^ *def |\(.*/, "", enclosing)
		}
		note_all($0, FILENAME, enclosing)
	}
}

# ---------------------------------------------------------------- writing

function count(version,    i, id, all, test, marked) {
	all = test = marked = 0
	for (i = 1; i <= n[version]; i++) {
		id = order[version, i]
		all++
		if (shown[id] != "")
			test++
		else if (code_of(id) != "")
			marked++
	}
	printf "| %s | %d | %d | %d | %d |\n", version, all, test, marked,
	    all - test - marked
}

function missing(version,    i, id, found) {
	found = ""
	for (i = 1; i <= n[version]; i++) {
		id = order[version, i]
		if (shown[id] == "")
			found = found " " id
	}
	printf "%s:%s.\n", version, found == "" ? " none" : found
}

# The files that implement it, or the statements of 5.0 that ask the same.
function code_of(id,    all, part, files, i, j, out, once) {
	all = code[id]
	split(same[id], part, " ")
	for (i = 1; i in part; i++)
		all = all "<br>" code["MQTT-" part[i]]
	out = ""
	split(all, files, "<br>")
	for (j = 1; j in files; j++) {
		if (files[j] == "" || files[j] in once)
			continue
		once[files[j]] = 1
		out = out (out == "" ? "" : "<br>") files[j]
	}
	return out
}

function table(version,    i, id) {
	printf "\n## MQTT %s\n\n", version
	print "| statement | binds | what it says | implemented in | shown by |"
	print "|---|---|---|---|---|"
	for (i = 1; i <= n[version]; i++) {
		id = order[version, i]
		printf "| %s | %s | %s | %s | %s |\n", id, binds[id],
		    says[id], code_of(id),
		    shown[id] == "" ? "**no test**" : shown[id]
	}
}

function read_statements(version,    file, line, part, id) {
	file = "doc/conformance-" version ".tsv"
	while ((getline line < file) > 0) {
		if (line ~ /^#/)
			continue
		split(line, part, "\t")
		id = (version == "5.0" ? "MQTT-" : "MQTT3-") part[1]
		order[version, ++n[version]] = id
		binds[id] = part[2]
		says[id] = part[3]
		same[id] = part[4]
	}
	close(file)
}

BEGIN {
	read_statements("5.0")
	read_statements("3.1.1")
}

FNR == 1 {
	flush_waiting("")
	if (in_name)
		end_name()
	enclosing = ""
	previous_file = FILENAME
	is_test = FILENAME ~ /^tests\//
	# What tests are made of shows nothing itself.
	is_help = is_test && FILENAME !~ /\/(test|fuzz|torture)_[^\/]*$/
}

!is_test { note_all($0, FILENAME, ""); next }
FILENAME ~ /\.py$/ { read_python(); previous = $0; next }
{ read_c() }

END {
	flush_waiting("")
	if (list_unknown) {
		for (id in unknown) {
			print id ":" unknown[id]
			status = 1
		}
		exit status
	}
	print "# Conformance"
	print ""
	print "Made by doc/make-conformance.sh from doc/conformance-*.tsv and the marks"
	print "in code and tests; `make check` compares. MQTT-x.y.z-n is a normative"
	print "statement of MQTT 5.0, MQTT3-x.y.z-n one of MQTT 3.1.1, by the numbers of"
	print "the published standards; what it says is told in our words. What binds"
	print "the client is shown of weir-bridged and weirctl, and of the broker that"
	print "it refuses who does otherwise."
	print ""
	print "| MQTT | statements | with a test | marked in code alone | with nothing |"
	print "|---|---|---|---|---|"
	count("5.0")
	count("3.1.1")
	print ""
	print "Without a test:"
	print ""
	printf "- MQTT "
	missing("5.0")
	printf "- MQTT "
	missing("3.1.1")
	table("5.0")
	table("3.1.1")
}'
