# broker/store/ - the journal: what is acknowledged survives.

noinst_LIBRARIES += libstore.a

libstore_a_SOURCES = \
	%D%/checkpoint_file.c \
	%D%/checkpoint_file.h \
	%D%/crc32c.c \
	%D%/crc32c.h \
	%D%/segment.c \
	%D%/segment.h \
	%D%/segment_index.c \
	%D%/segment_index.h \
	%D%/store.c \
	%D%/store.h \
	%D%/store_append.c \
	%D%/store_bytes.h \
	%D%/store_chain.c \
	%D%/store_checkpoint.c \
	%D%/store_checkpoint_load.c \
	%D%/store_commit.c \
	%D%/store_cursors.c \
	%D%/store_cursors.h \
	%D%/store_cursors_merge.c \
	%D%/store_format.h \
	%D%/store_index.c \
	%D%/store_io.h \
	%D%/store_io_posix.c \
	%D%/store_manifest.c \
	%D%/store_mend.c \
	%D%/store_merge.c \
	%D%/store_message.c \
	%D%/store_private.h \
	%D%/store_reader.c \
	%D%/store_record.c \
	%D%/store_record.h \
	%D%/store_recover.c \
	%D%/store_recovery.h \
	%D%/store_scan.c \
	%D%/store_space.c
