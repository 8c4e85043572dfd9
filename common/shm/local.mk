# common/shm/ - memfds, descriptors, bells.

noinst_LIBRARIES += libshm.a

libshm_a_SOURCES = \
	%D%/bell.c \
	%D%/bell.h \
	%D%/fdpass.c \
	%D%/fdpass.h \
	%D%/memfd.c \
	%D%/memfd.h
