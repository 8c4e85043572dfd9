# ctl/ - weirctl: look at an installation and steer it.

bin_PROGRAMS += ctl/weirctl

ctl_weirctl_SOURCES = \
	%D%/ask.c \
	%D%/ask.h \
	%D%/bridge_test.c \
	%D%/bridge_test.h \
	%D%/child_exec.c \
	%D%/child_exec.h \
	%D%/client_options.c \
	%D%/client_options.h \
	%D%/cmd_bridge.c \
	%D%/cmd_clients.c \
	%D%/cmd_convert.c \
	%D%/cmd_dead.c \
	%D%/cmd_doctor.c \
	%D%/cmd_dump.c \
	%D%/cmd_passwd.c \
	%D%/cmd_pub.c \
	%D%/cmd_replay.c \
	%D%/cmd_rings.c \
	%D%/cmd_run.c \
	%D%/cmd_status.c \
	%D%/cmd_store.c \
	%D%/cmd_store.h \
	%D%/cmd_store_export.c \
	%D%/cmd_store_import.c \
	%D%/cmd_store_keep.c \
	%D%/cmd_store_list.c \
	%D%/cmd_store_show.c \
	%D%/cmd_sub.c \
	%D%/cmd_top.c \
	%D%/cmd_trace.c \
	%D%/cmd_why.c \
	%D%/convert.c \
	%D%/convert.h \
	%D%/convert_hocon.c \
	%D%/convert_mosquitto.c \
	%D%/convert_mosquitto.h \
	%D%/convert_mosquitto_bridge.c \
	%D%/convert_nanomq.c \
	%D%/convert_nanomq.h \
	%D%/convert_nanomq_bridge.c \
	%D%/convert_private.h \
	%D%/ctl.h \
	%D%/doctor.c \
	%D%/doctor.h \
	%D%/doctor_look.c \
	%D%/dump_diagnosis.c \
	%D%/dump_diagnosis.h \
	%D%/dump_record.c \
	%D%/dump_record.h \
	%D%/escape.c \
	%D%/escape.h \
	%D%/journal_backup.c \
	%D%/journal_backup.h \
	%D%/journal_export.c \
	%D%/journal_export.h \
	%D%/journal_json.c \
	%D%/journal_json.h \
	%D%/journal_json_read.c \
	%D%/journal_letters.c \
	%D%/journal_letters.h \
	%D%/journal_print.c \
	%D%/journal_room.c \
	%D%/journal_room.h \
	%D%/journal_state.c \
	%D%/journal_state.h \
	%D%/journal_state_private.h \
	%D%/journal_state_walk.c \
	%D%/journal_view.c \
	%D%/journal_view.h \
	%D%/journey.c \
	%D%/journey.h \
	%D%/log_relay.c \
	%D%/log_relay.h \
	%D%/main.c \
	%D%/manage_call.c \
	%D%/manage_call.h \
	%D%/mqtt_client.c \
	%D%/mqtt_client.h \
	%D%/mqtt_client_input.c \
	%D%/mqtt_client_private.h \
	%D%/notify.c \
	%D%/notify.h \
	%D%/passwd.c \
	%D%/passwd.h \
	%D%/processes.c \
	%D%/processes.h \
	%D%/programs.c \
	%D%/programs.h \
	%D%/property_words.c \
	%D%/property_words.h \
	%D%/record_id.c \
	%D%/record_id.h \
	%D%/replay_file.c \
	%D%/replay_file.h \
	%D%/sub_format.c \
	%D%/sub_format.h \
	%D%/supervisor.c \
	%D%/supervisor.h \
	%D%/table.c \
	%D%/table.h \
	%D%/top_model.c \
	%D%/top_model.h \
	%D%/top_screen.c \
	%D%/top_screen.h \
	%D%/why.c \
	%D%/why.h \
	%D%/why_board.c \
	%D%/why_board.h \
	%D%/why_text.c \
	%D%/why_text.h

ctl_weirctl_CPPFLAGS = $(AM_CPPFLAGS) -DSBINDIR='"$(sbindir)"' \
	$(EVENT_CFLAGS) $(JANSSON_CFLAGS) $(SMARTCOLS_CFLAGS) $(SODIUM_CFLAGS)
ctl_weirctl_LDADD = libservice.a libnet.a libconf.a libmqtt.a libstore.a libmsg.a \
	libring.a libstats.a libshm.a libbase.a \
	$(CONFIG_LIBS) $(EVENT_LIBS) $(JANSSON_LIBS) $(NCURSES_LIBS) \
	$(SMARTCOLS_LIBS) $(SODIUM_LIBS) $(OPENSSL_LIBS) \
	$(SYSTEMD_LIBS) $(SECCOMP_LIBS)

bashcompletiondir = $(datadir)/bash-completion/completions
dist_bashcompletion_DATA = %D%/completion/weirctl
