# bench/ - the benchmarks.

noinst_PROGRAMS += bench/ring

bench_ring_SOURCES = %D%/ring.c
bench_ring_LDADD   = libring.a libshm.a libbase.a
