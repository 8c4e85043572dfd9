# tests/fuzz/ - libFuzzer targets.  Not part of `make check`: ./run-tests runs
# each 100,000 times, once for all builds.

fuzz_targets = fuzz_http fuzz_jwt fuzz_mqtt fuzz_ring fuzz_store_record fuzz_websocket
FUZZ_RUNS    = 5000000

EXTRA_DIST += \
	%D%/run_fuzz.sh \
	%D%/fuzz_http.c \
	%D%/fuzz_jwt.c \
	%D%/fuzz_mqtt.c \
	%D%/fuzz_ring.c \
	%D%/fuzz_store_record.c \
	%D%/fuzz_websocket.c \
	%D%/corpus

# Longer, by hand: make fuzz FUZZ_RUNS=N
.PHONY: fuzz
fuzz:
	top_srcdir=$(top_srcdir) $(SHELL) $(top_srcdir)/%D%/run_fuzz.sh \
		$(fuzz_targets) $(FUZZ_RUNS)
