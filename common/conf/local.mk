# common/conf/ - the configuration file.

noinst_LIBRARIES += libconf.a

libconf_a_CPPFLAGS = $(AM_CPPFLAGS) $(CONFIG_CFLAGS)
libconf_a_SOURCES = \
	%D%/conf.c \
	%D%/conf.h \
	%D%/conf_bridge.c \
	%D%/conf_bridge_change.c \
	%D%/conf_auth.c \
	%D%/conf_change.c \
	%D%/conf_check.c \
	%D%/conf_folder.c \
	%D%/conf_journal.c \
	%D%/conf_keys.def \
	%D%/conf_listener.c \
	%D%/conf_lists.c \
	%D%/conf_manual.c \
	%D%/conf_memory.c \
	%D%/conf_memory_limit.c \
	%D%/conf_rate.c \
	%D%/conf_remote.c \
	%D%/conf_secret.c \
	%D%/conf_share.c \
	%D%/conf_show.c \
	%D%/conf_table.c \
	%D%/conf_table.h \
	%D%/conf_tls.c \
	%D%/conf_will.c \
	%D%/conf_words.def

# Prints the keys for weir.conf(5).
noinst_PROGRAMS += conf-manual
conf_manual_SOURCES = %D%/manual_main.c
conf_manual_LDADD   = libconf.a libbase.a $(CONFIG_LIBS)
