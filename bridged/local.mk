# bridged/ - weir-bridged, one process a bridge.

sbin_PROGRAMS    += %D%/weir-bridged
noinst_LIBRARIES += libbridged.a

BRIDGED_LIBS = libbridged.a libservice.a libnet.a libconf.a libmqtt.a libmsg.a \
	libstats.a libring.a libshm.a libbase.a \
	$(CONFIG_LIBS) $(EVENT_LIBS) $(OPENSSL_LIBS) $(SYSTEMD_LIBS) $(SECCOMP_LIBS)

libbridged_a_SOURCES = \
	%D%/backoff.c \
	%D%/backoff.h \
	%D%/bridge.c \
	%D%/bridge.h \
	%D%/bridge_broker.c \
	%D%/bridge_notify.c \
	%D%/bridge_private.h \
	%D%/bridge_reload.c \
	%D%/bridge_remote.c \
	%D%/claims.c \
	%D%/claims.h \
	%D%/counters.def \
	%D%/counters.h \
	%D%/dial.c \
	%D%/dial.h \
	%D%/forward.c \
	%D%/forward.h \
	%D%/forward_unread.c \
	%D%/grave.c \
	%D%/grave.h \
	%D%/inflight.c \
	%D%/inflight.h \
	%D%/ingest.c \
	%D%/ingest.h \
	%D%/ingest_answers.c \
	%D%/ingest_private.h \
	%D%/link.c \
	%D%/link.h \
	%D%/mapping.c \
	%D%/mapping.h \
	%D%/notes.c \
	%D%/notes.h \
	%D%/notes_layout.h \
	%D%/outgoing.c \
	%D%/outgoing.h \
	%D%/pace.c \
	%D%/pace.h \
	%D%/probe.c \
	%D%/probe.h \
	%D%/remote.h \
	%D%/remote_mqtt.c \
	%D%/remote_mqtt.h \
	%D%/remote_mqtt_connect.c \
	%D%/remote_mqtt_input.c \
	%D%/remote_mqtt_reason.c \
	%D%/remote_mqtt_send.c \
	%D%/remote_mqtt_subscribe.c \
	%D%/report.c \
	%D%/report.h \
	%D%/session.c \
	%D%/session.h \
	%D%/subscriptions.c \
	%D%/subscriptions.h

libbridged_a_CPPFLAGS = $(AM_CPPFLAGS) $(EVENT_CFLAGS)

%C%_weir_bridged_SOURCES  = %D%/main.c
%C%_weir_bridged_CPPFLAGS = $(AM_CPPFLAGS) $(EVENT_CFLAGS)
%C%_weir_bridged_LDADD    = $(BRIDGED_LIBS)
