# common/mqtt/ - the wire format of MQTT 3.1.1 and 5.0.

noinst_LIBRARIES += libmqtt.a

libmqtt_a_SOURCES = \
	%D%/aliases.c \
	%D%/aliases.h \
	%D%/encode.c \
	%D%/encode.h \
	%D%/encode_connect.c \
	%D%/encode_parts.h \
	%D%/frame.c \
	%D%/packet.c \
	%D%/packet.h \
	%D%/packet_connect.c \
	%D%/properties.c \
	%D%/properties.def \
	%D%/properties.h \
	%D%/protocol.h \
	%D%/reason.c \
	%D%/reason.def \
	%D%/reason.h \
	%D%/trail.c \
	%D%/trail.h \
	%D%/wire.h
