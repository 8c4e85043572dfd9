# bench/ - the benchmarks.  `make bench` builds them and runs bench/run.

EXTRA_PROGRAMS += bench/load-http bench/limit-http bench/bare-log \
	bench/fill-journal bench/line
noinst_PROGRAMS += bench/ring bench/remote bench/flood-clients bench/load \
	bench/limit bench/order
EXTRA_DIST += %D%/flood %D%/run %D%/http %D%/journal %D%/recovery \
	%D%/compare %D%/growth %D%/stalled %D%/brokers.py %D%/growing.py %D%/peers.py \
	%D%/report.py %D%/results.py %D%/rows.py %D%/running.py %D%/svg.py \
	%D%/README.md
CLEANFILES += bench/load-http bench/limit-http bench/bare-log \
	bench/fill-journal bench/line

bench_ring_SOURCES = %D%/ring.c %D%/ring_cases.c %D%/ring_cases.h \
	%D%/ring_pair.c %D%/ring_pair.h
bench_ring_LDADD   = libring.a libshm.a libbase.a

bench_bare_log_SOURCES = %D%/bare_log.c
bench_bare_log_LDADD   = libmqtt.a libmsg.a libbase.a

bench_fill_journal_SOURCES = %D%/fill_journal.c
bench_fill_journal_LDADD   = libstore.a libmsg.a libstats.a libshm.a libbase.a

bench_line_SOURCES  = %D%/line.c
bench_line_CPPFLAGS = $(BROKER_CPPFLAGS)
bench_line_LDADD    = $(BROKER_LIBS)

bench_load_SOURCES = %D%/load.c %D%/load.h %D%/load_client.c %D%/load_client.h \
	%D%/load_connect.c %D%/load_crowd.c %D%/load_crowd.h \
	%D%/load_retained.c %D%/load_traffic.c %D%/sequence.c %D%/sequence.h \
	%D%/cpu_time.c %D%/cpu_time.h
bench_load_LDADD   = libmqtt.a libmsg.a libbase.a

bench_limit_SOURCES = %D%/limit.c
bench_limit_LDADD   = libmqtt.a libmsg.a libbase.a

bench_order_SOURCES = %D%/order.c %D%/order.h %D%/order_book.c \
	%D%/order_filters.c %D%/order_peer.c
bench_order_LDADD   = libmqtt.a libmsg.a libbase.a

bench_limit_http_SOURCES = %D%/limit_http.c
bench_limit_http_LDADD   = libbase.a

bench_load_http_SOURCES = %D%/load_http.c %D%/cpu_time.c %D%/cpu_time.h \
	%D%/http_peer.c %D%/http_peer.h %D%/mqtt_count.c %D%/mqtt_count.h
bench_load_http_LDADD   = libbase.a

bench_remote_SOURCES = %D%/remote.c %D%/remote.h %D%/remote_session.c \
	%D%/remote_ledger.c %D%/remote_ledger.h
bench_remote_LDADD   = libmqtt.a libmsg.a libbase.a

bench_flood_clients_SOURCES = %D%/flood_clients.c %D%/flood_http.c \
	%D%/flood_mqtt.c %D%/flood_producer.h
bench_flood_clients_LDADD   = libmqtt.a libmsg.a libbase.a

.PHONY: bench-programs bench benchmarks
bench-programs: broker/weir-broker httpd/weir-httpd bridged/weir-bridged \
	bench/load$(EXEEXT) bench/limit$(EXEEXT) bench/load-http$(EXEEXT) \
	bench/limit-http$(EXEEXT) bench/ring$(EXEEXT) \
	bench/bare-log$(EXEEXT) bench/fill-journal$(EXEEXT)
bench: bench-programs
	WEIR_BUILD=. $(srcdir)/bench/run

# All of it, and doc/BENCHMARKS.md anew: a quarter of an hour, on a quiet machine.
benchmarks: bench-programs
	WEIR_BUILD=. $(srcdir)/bench/compare --growth --out $(srcdir)/doc
