# common/service/ - start-up shared by all programs.

noinst_LIBRARIES += libservice.a

libservice_a_CPPFLAGS = $(AM_CPPFLAGS) $(EVENT_CFLAGS) $(SYSTEMD_CFLAGS) \
	$(SECCOMP_CFLAGS)
libservice_a_SOURCES = \
	%D%/fdstore.c \
	%D%/fdstore.h \
	%D%/sandbox.c \
	%D%/sandbox.h \
	%D%/secure.c \
	%D%/secure.h \
	%D%/service.c \
	%D%/service.h
