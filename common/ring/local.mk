# common/ring/ - the shared-memory rings.

noinst_LIBRARIES += libring.a

libring_a_SOURCES = \
	%D%/lane.c \
	%D%/lane.h \
	%D%/lane_idle.c \
	%D%/lane_idle.h \
	%D%/ring_consumer.c \
	%D%/ring_consumer.h \
	%D%/ring_control.h \
	%D%/ring_control_ask.c \
	%D%/ring_control_io.c \
	%D%/ring_dump.c \
	%D%/ring_dump.h \
	%D%/ring_dump_lane.c \
	%D%/ring_dump_lane.h \
	%D%/ring_dump_search.c \
	%D%/ring_dump_search.h \
	%D%/ring_endpoint.c \
	%D%/ring_forward.c \
	%D%/ring_forward.h \
	%D%/ring_handback.c \
	%D%/ring_handback.h \
	%D%/ring_inspect.c \
	%D%/ring_inspect.h \
	%D%/ring_inspect_lane.c \
	%D%/ring_inspect_lane.h \
	%D%/ring_inspect_scan.c \
	%D%/ring_inspect_scan.h \
	%D%/ring_layout.h \
	%D%/ring_link.c \
	%D%/ring_link.h \
	%D%/ring_link_lanes.c \
	%D%/ring_link_memory.c \
	%D%/ring_link_memory.h \
	%D%/ring_link_private.h \
	%D%/ring_producer.c \
	%D%/ring_producer.h \
	%D%/ring_producer_attach.c \
	%D%/ring_producer_grow.c \
	%D%/ring_producer_private.h \
	%D%/ring_resize.c \
	%D%/ring_resize.h \
	%D%/ring_trace.c \
	%D%/ring_trace.h \
	%D%/ring_traces.c \
	%D%/ring_traces.h
