# broker/store/ - the journal: what is acknowledged survives.

noinst_LIBRARIES += libstore.a

libstore_a_SOURCES = \
	%D%/store.h \
	%D%/store_bytes.h \
	%D%/store_io.h \
	%D%/store_message.c \
	%D%/store_record.c \
	%D%/store_record.h
