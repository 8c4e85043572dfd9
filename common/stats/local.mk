# common/stats/ - counters in shared memory.

noinst_LIBRARIES += libstats.a

libstats_a_SOURCES = \
	%D%/prometheus.c \
	%D%/stats.c \
	%D%/stats.h
