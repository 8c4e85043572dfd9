# fill.awk - fill a manual page's template in from the tables in the code.
#
#	@OPTIONS@	the lines of `PROGRAM --help=mdoc`
#	@OPTIONS VERB@	the lines of `PROGRAM VERB --help=mdoc`
#	@KEYS@		the lines of PROGRAM, which is conf-manual
#
# A sentence that begins within a line gets a line of its own, as mandoc likes
# it.  A program that prints nothing fails the build.

function run(command,    line, count) {
	while ((command | getline line) > 0) {
		if (line !~ /^\./)
			gsub(/\.  +/, ".\n", line)
		print line
		count++
	}
	close(command)
	if (count == 0) {
		print FILENAME ": \"" command "\" prints nothing" \
		    > "/dev/stderr"
		exit 1
	}
}

/^@OPTIONS( [a-z]+)?@$/ {
	gsub(/@/, "")
	run(program " " $2 " --help=mdoc")
	next
}
/^@KEYS@$/ {
	run(program)
	next
}
{ print }
