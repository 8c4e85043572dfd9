# common/net/ - event loop, streams, listeners.

noinst_LIBRARIES += libnet.a

libnet_a_CPPFLAGS = $(AM_CPPFLAGS) $(EVENT_CFLAGS) $(OPENSSL_CFLAGS)
libnet_a_SOURCES = \
	%D%/connector.c \
	%D%/connector.h \
	%D%/listener.c \
	%D%/listener.h \
	%D%/loop.c \
	%D%/loop.h \
	%D%/loop_signals.c \
	%D%/loop_signals.h \
	%D%/pool_trimmer.c \
	%D%/pool_trimmer.h \
	%D%/port_owner.c \
	%D%/port_owner.h \
	%D%/scram_verifier.c \
	%D%/scram_verifier.h \
	%D%/stream.c \
	%D%/stream.h \
	%D%/stream_hub.h \
	%D%/stream_input.c \
	%D%/stream_layer.c \
	%D%/stream_layer.h \
	%D%/stream_output.c \
	%D%/tls.h \
	%D%/tls_context.c \
	%D%/tls_files.c \
	%D%/tls_layer.c \
	%D%/tls_names.c \
	%D%/tls_peer.c \
	%D%/tls_private.h \
	%D%/tls_psk.c \
	%D%/tls_resume.c \
	%D%/tls_tickets.c \
	%D%/tls_tickets.h \
	%D%/unix_socket.c \
	%D%/unix_socket.h \
	%D%/websocket.c \
	%D%/websocket.h \
	%D%/websocket_client.c \
	%D%/websocket_end.c \
	%D%/websocket_head.c \
	%D%/websocket_head.h \
	%D%/websocket_key.c \
	%D%/websocket_private.h \
	%D%/websocket_server.c
