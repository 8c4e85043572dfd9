# httpd/ - weir-httpd: HTTP in, messages out; never sees MQTT packets.

# All but main(), so that unit tests and the fuzzer can link it.
noinst_LIBRARIES += libhttpd.a

libhttpd_a_SOURCES = \
	%D%/api.c \
	%D%/api.h \
	%D%/api_bridges.c \
	%D%/api_clients.c \
	%D%/api_configuration.c \
	%D%/api_map.c \
	%D%/api_node.c \
	%D%/api_routes.h \
	%D%/asks.c \
	%D%/asks.h \
	%D%/challenge.c \
	%D%/challenge.h \
	%D%/connection.c \
	%D%/connection.h \
	%D%/connection_input.c \
	%D%/connection_output.c \
	%D%/connection_state.h \
	%D%/counters.c \
	%D%/counters.def \
	%D%/counters.h \
	%D%/drain.c \
	%D%/drain.h \
	%D%/endpoints.c \
	%D%/endpoints.def \
	%D%/endpoints.h \
	%D%/held.c \
	%D%/held.h \
	%D%/httpd.c \
	%D%/httpd.h \
	%D%/https.c \
	%D%/https.h \
	%D%/identity.c \
	%D%/identity.h \
	%D%/lanes.c \
	%D%/lanes.h \
	%D%/limits.c \
	%D%/limits.h \
	%D%/limits_table.c \
	%D%/limits_table.h \
	%D%/link.c \
	%D%/link.h \
	%D%/link_records.c \
	%D%/link_state.h \
	%D%/metrics.c \
	%D%/metrics.h \
	%D%/metrics_bridges.c \
	%D%/openapi.c \
	%D%/openapi.h \
	%D%/openapi_schemas.c \
	%D%/parameters.c \
	%D%/parameters.h \
	%D%/overflow.c \
	%D%/overflow.h \
	%D%/pending.c \
	%D%/pending.h \
	%D%/pending_list.c \
	%D%/pending_private.h \
	%D%/pending_query.c \
	%D%/pool_use.h \
	%D%/publication.c \
	%D%/publication.h \
	%D%/publication_limit.c \
	%D%/publish.c \
	%D%/publish.h \
	%D%/publish_fast.c \
	%D%/publish_fast.h \
	%D%/publish_json.c \
	%D%/publish_json.h \
	%D%/refusal.c \
	%D%/refusal.h \
	%D%/request.c \
	%D%/request.h \
	%D%/response.c \
	%D%/response.h \
	%D%/uri.c \
	%D%/uri.h \
	%D%/tally.c \
	%D%/tally.h \
	%D%/wiring.h \
	%D%/wiring_asks.c \
	%D%/wiring_messages.c \
	%D%/wiring_requests.c
libhttpd_a_CPPFLAGS = $(AM_CPPFLAGS) $(EVENT_CFLAGS) $(JANSSON_CFLAGS) \
	$(SODIUM_CFLAGS)

HTTPD_LIBS = libhttpd.a libservice.a libnet.a libconf.a libmsg.a libstats.a \
	libring.a libshm.a libbase.a $(HTTP_PARSER_LIBS) $(JANSSON_LIBS) \
	$(SODIUM_LIBS) $(EVENT_LIBS) $(OPENSSL_LIBS) $(CONFIG_LIBS) $(SYSTEMD_LIBS) \
	$(SECCOMP_LIBS)

sbin_PROGRAMS += httpd/weir-httpd

httpd_weir_httpd_SOURCES  = %D%/main.c
httpd_weir_httpd_CPPFLAGS = $(AM_CPPFLAGS) $(EVENT_CFLAGS) $(JANSSON_CFLAGS)
httpd_weir_httpd_LDADD    = $(HTTPD_LIBS)
