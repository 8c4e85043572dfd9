# common/msg/ - records on a ring; topic names and filters.

noinst_LIBRARIES += libmsg.a

libmsg_a_SOURCES = \
	%D%/ask.h \
	%D%/offers.h \
	%D%/record.c \
	%D%/record.h \
	%D%/topic.c \
	%D%/topic.h
