# common/base/ - libc only.

noinst_LIBRARIES += libbase.a

libbase_a_SOURCES = \
	%D%/base64.c \
	%D%/base64.h \
	%D%/board.c \
	%D%/board.h \
	%D%/bug.c \
	%D%/bug.h \
	%D%/clock.c \
	%D%/clock.h \
	%D%/container_of.h \
	%D%/exit.h \
	%D%/fifo.c \
	%D%/fifo.h \
	%D%/histogram.c \
	%D%/histogram.h \
	%D%/log.c \
	%D%/log.h \
	%D%/options.c \
	%D%/options.h \
	%D%/network.c \
	%D%/network.h \
	%D%/parse.c \
	%D%/parse.h \
	%D%/pool.c \
	%D%/pool.h \
	%D%/slice.c \
	%D%/slice.h \
	%D%/template.c \
	%D%/template.h \
	%D%/thread.c \
	%D%/thread.h \
	%D%/token_bucket.c \
	%D%/token_bucket.h \
	%D%/utf8.c \
	%D%/utf8.h
