# tests/unit/ - one program a module; link order is the reverse of the layers.

UNIT_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS) $(EVENT_CFLAGS) $(URCU_CFLAGS)
EXTRA_DIST += %D%/unit.h %D%/paper_manage.h %D%/links_box.h %D%/links_journal_box.h \
	%D%/store_any.h %D%/store_box.h %D%/store_dir.h \
	%D%/merge_box.h %D%/reader_box.h

if HAVE_CHECK
unit_tests = \
	test_access \
	test_admit \
	test_aliases \
	test_auth \
	test_auth_jwt \
	test_backlog \
	test_backoff \
	test_base64 \
	test_bell \
	test_board \
	test_bridge_port \
	test_bridge_table \
	test_checkpoint_file \
	test_clock \
	test_commit \
	test_commit_failing \
	test_commit_gather \
	test_commit_store \
	test_commit_threads \
	test_conf \
	test_conf_change \
	test_conf_listener \
	test_disabled \
	test_shares \
	test_small_file \
	test_doctor \
	test_drop_episode \
	test_convert \
	test_crc32c \
	test_dead \
	test_dump_diagnosis \
	test_encode \
	test_exactly_once_in \
	test_exactly_once_out \
	test_escape \
	test_fdpass \
	test_feed \
	test_fifo \
	test_forward \
	test_gate \
	test_held \
	test_histogram \
	test_http_api \
	test_http_connection \
	test_http_endpoints \
	test_http_held \
	test_http_asks \
	test_http_identity \
	test_http_lanes \
	test_http_drain \
	test_http_limits \
	test_http_overflow \
	test_http_pending \
	test_http_response \
	test_http_uri \
	test_http_tally \
	test_inflight \
	test_ingest \
	test_inherited \
	test_journal_backup \
	test_journal_export \
	test_journal_json \
	test_journal_state \
	test_journey \
	test_lane \
	test_limits \
	test_links \
	test_links_handover \
	test_links_journal \
	test_links_asks \
	test_links_lanes \
	test_links_terms \
	test_links_turns \
	test_listener \
	test_log \
	test_loop \
	test_loop_signals \
	test_mailbox \
	test_manage_conf \
	test_mapping \
	test_memfd \
	test_message \
	test_network \
	test_notes \
	test_options \
	test_pace \
	test_packet \
	test_passwd \
	test_peer \
	test_pool \
	test_pool_trimmer \
	test_properties \
	test_property_words \
	test_proxy_header \
	test_publish_fast \
	test_publish_json \
	test_record \
	test_recover \
	test_remote_mqtt \
	test_replay_file \
	test_report \
	test_retain \
	test_ring \
	test_ring_control \
	test_ring_dump \
	test_ring_forward \
	test_ring_growth \
	test_ring_inspect \
	test_ring_inspect_party \
	test_ring_link \
	test_ring_rules \
	test_ring_trace \
	test_ring_traces \
	test_scram \
	test_segment_index \
	test_service \
	test_sequence \
	test_session \
	test_session_queue \
	test_session_scan \
	test_session_walk \
	test_sources \
	test_stats \
	test_store \
	test_store_checkpoint \
	test_store_cursors \
	test_store_damage \
	test_store_index \
	test_store_merge \
	test_store_merge_trouble \
	test_store_reader \
	test_store_record \
	test_store_faults \
	test_store_flip \
	test_store_model \
	test_store_power \
	test_store_sim \
	test_store_sync \
	test_store_threads \
	test_stream \
	test_stream_order \
	test_sub_format \
	test_subscription_tree \
	test_subscriptions \
	test_supervisor \
	test_template \
	test_sys_topics \
	test_tally \
	test_thread \
	test_tls \
	test_tls_server \
	test_tls_tickets \
	test_token_bucket \
	test_top_model \
	test_topic \
	test_utf8 \
	test_waker \
	test_why \
	test_websocket \
	test_websocket_client \
	test_websocket_head \
	test_websocket_server \
	test_wire \
	test_worker_commit
check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests)

test_access_SOURCES  = %D%/test_access.c
test_access_CPPFLAGS = $(UNIT_CPPFLAGS)
test_access_LDADD    = $(BROKER_LIBS) $(CHECK_LIBS)

test_admit_SOURCES  = %D%/test_admit.c %D%/recover_box.h $(STORE_SIM)
test_admit_CPPFLAGS = $(UNIT_CPPFLAGS)
test_admit_LDADD    = $(BROKER_LIBS) $(CHECK_LIBS)

test_aliases_SOURCES  = %D%/test_aliases.c
test_aliases_CPPFLAGS = $(UNIT_CPPFLAGS)
test_aliases_LDADD    = $(BRIDGED_LIBS) $(CHECK_LIBS)

test_auth_SOURCES  = %D%/test_auth.c
test_auth_CPPFLAGS = $(UNIT_CPPFLAGS) $(SODIUM_CFLAGS)
test_auth_LDADD    = $(BROKER_LIBS) $(CHECK_LIBS)

test_auth_jwt_SOURCES  = %D%/test_auth_jwt.c
test_auth_jwt_CPPFLAGS = $(UNIT_CPPFLAGS) $(SODIUM_CFLAGS) $(OPENSSL_CFLAGS)
test_auth_jwt_LDADD    = $(BROKER_LIBS) $(CHECK_LIBS)

test_backlog_SOURCES  = %D%/test_backlog.c
test_backlog_CPPFLAGS = $(UNIT_CPPFLAGS)
test_backlog_LDADD    = $(BROKER_LIBS) $(CHECK_LIBS)

test_backoff_SOURCES  = %D%/test_backoff.c
test_backoff_CPPFLAGS = $(UNIT_CPPFLAGS)
test_backoff_LDADD    = $(BRIDGED_LIBS) $(CHECK_LIBS)

test_base64_SOURCES  = %D%/test_base64.c
test_base64_CPPFLAGS = $(UNIT_CPPFLAGS)
test_base64_LDADD    = libbase.a $(CHECK_LIBS)

test_bell_SOURCES  = %D%/test_bell.c
test_bell_CPPFLAGS = $(UNIT_CPPFLAGS)
test_bell_LDADD    = libshm.a $(CHECK_LIBS)

test_board_SOURCES  = %D%/test_board.c
test_board_CPPFLAGS = $(UNIT_CPPFLAGS)
test_board_LDADD    = libbase.a $(CHECK_LIBS)

test_bridge_port_SOURCES  = %D%/test_bridge_port.c
test_bridge_port_CPPFLAGS = $(UNIT_CPPFLAGS)
test_bridge_port_LDADD    = $(BROKER_LIBS) $(CHECK_LIBS)

test_bridge_table_SOURCES  = %D%/test_bridge_table.c
test_bridge_table_CPPFLAGS = $(UNIT_CPPFLAGS)
test_bridge_table_LDADD    = $(BROKER_LIBS) $(CHECK_LIBS)

test_checkpoint_file_SOURCES  = %D%/test_checkpoint_file.c $(STORE_SIM)
test_checkpoint_file_CPPFLAGS = $(UNIT_CPPFLAGS)
test_checkpoint_file_LDADD    = libstore.a libbase.a $(CHECK_LIBS)

test_clock_SOURCES  = %D%/test_clock.c
test_clock_CPPFLAGS = $(UNIT_CPPFLAGS)
test_clock_LDADD    = libbase.a $(CHECK_LIBS)

test_commit_SOURCES  = %D%/test_commit.c %D%/commit_box.h \
	%D%/fake_store.h
test_commit_CPPFLAGS = $(UNIT_CPPFLAGS)
test_commit_LDADD    = $(BROKER_LIBS) $(CHECK_LIBS)

test_commit_failing_SOURCES  = %D%/test_commit_failing.c %D%/commit_box.h \
	%D%/fake_store.h
test_commit_failing_CPPFLAGS = $(UNIT_CPPFLAGS)
test_commit_failing_LDADD    = $(BROKER_LIBS) $(CHECK_LIBS)

test_commit_gather_SOURCES  = %D%/test_commit_gather.c
test_commit_gather_CPPFLAGS = $(UNIT_CPPFLAGS)
test_commit_gather_LDADD    = $(BROKER_LIBS) $(CHECK_LIBS)

test_commit_store_SOURCES  = %D%/test_commit_store.c $(STORE_SIM)
test_commit_store_CPPFLAGS = $(UNIT_CPPFLAGS)
test_commit_store_LDADD    = $(BROKER_LIBS) $(CHECK_LIBS)

test_commit_threads_SOURCES  = %D%/test_commit_threads.c %D%/fake_store.h
test_commit_threads_CPPFLAGS = $(UNIT_CPPFLAGS)
test_commit_threads_LDADD    = $(BROKER_LIBS) $(CHECK_LIBS)

test_conf_SOURCES  = %D%/test_conf.c
test_conf_CPPFLAGS = $(UNIT_CPPFLAGS)
test_conf_LDADD    = libconf.a libbase.a $(CHECK_LIBS) $(CONFIG_LIBS)

test_conf_listener_SOURCES  = %D%/test_conf_listener.c
test_conf_listener_CPPFLAGS = $(UNIT_CPPFLAGS)
test_conf_listener_LDADD    = libconf.a libbase.a $(CHECK_LIBS) $(CONFIG_LIBS)

test_conf_change_SOURCES  = %D%/test_conf_change.c
test_conf_change_CPPFLAGS = $(UNIT_CPPFLAGS)
test_conf_change_LDADD    = libconf.a libbase.a $(CHECK_LIBS) $(CONFIG_LIBS)

test_disabled_SOURCES  = %D%/test_disabled.c
test_disabled_CPPFLAGS = $(UNIT_CPPFLAGS)
test_disabled_LDADD    = $(BROKER_LIBS) $(CHECK_LIBS)
test_shares_SOURCES  = %D%/test_shares.c
test_shares_CPPFLAGS = $(UNIT_CPPFLAGS)
test_shares_LDADD    = $(BROKER_LIBS) $(CHECK_LIBS)

test_small_file_SOURCES  = %D%/test_small_file.c
test_small_file_CPPFLAGS = $(UNIT_CPPFLAGS)
test_small_file_LDADD    = $(BROKER_LIBS) $(CHECK_LIBS)

test_doctor_SOURCES  = %D%/test_doctor.c ctl/doctor.c ctl/table.c
test_doctor_CPPFLAGS = $(UNIT_CPPFLAGS) $(SMARTCOLS_CFLAGS)
test_doctor_LDADD    = libbase.a $(SMARTCOLS_LIBS) $(CHECK_LIBS)

test_drop_episode_SOURCES  = %D%/test_drop_episode.c
test_drop_episode_CPPFLAGS = $(UNIT_CPPFLAGS)
test_drop_episode_LDADD    = $(BROKER_LIBS) $(CHECK_LIBS)

test_dump_diagnosis_SOURCES  = %D%/test_dump_diagnosis.c ctl/dump_diagnosis.c
test_dump_diagnosis_CPPFLAGS = $(UNIT_CPPFLAGS) $(JANSSON_CFLAGS)
test_dump_diagnosis_LDADD    = libring.a libshm.a libbase.a $(JANSSON_LIBS) \
	$(CHECK_LIBS)

test_encode_SOURCES  = %D%/test_encode.c
test_encode_CPPFLAGS = $(UNIT_CPPFLAGS)
test_encode_LDADD    = libmqtt.a libmsg.a libbase.a $(CHECK_LIBS)

test_exactly_once_in_SOURCES  = %D%/test_exactly_once_in.c
test_exactly_once_in_CPPFLAGS = $(UNIT_CPPFLAGS)
test_exactly_once_in_LDADD    = $(BRIDGED_LIBS) $(CHECK_LIBS)
test_exactly_once_in_LDFLAGS  = $(AM_LDFLAGS) \
	-Wl,--wrap=ring_commit,--wrap=notes_take \
	-Wl,--wrap=notes_confirm,--wrap=notes_release

test_exactly_once_out_SOURCES  = %D%/test_exactly_once_out.c %D%/far_mqtt.h
test_exactly_once_out_CPPFLAGS = $(UNIT_CPPFLAGS)
test_exactly_once_out_LDADD    = $(BRIDGED_LIBS) $(CHECK_LIBS)
test_exactly_once_out_LDFLAGS  = $(AM_LDFLAGS) \
	-Wl,--wrap=ring_release,--wrap=notes_publishing \
	-Wl,--wrap=notes_keep,--wrap=notes_claim

test_convert_SOURCES  = %D%/test_convert.c ctl/convert.c \
	ctl/convert_hocon.c ctl/convert_mosquitto.c \
	ctl/convert_mosquitto_bridge.c ctl/convert_nanomq.c \
	ctl/convert_nanomq_bridge.c
test_convert_CPPFLAGS = $(UNIT_CPPFLAGS)
test_convert_LDADD    = libconf.a libbase.a $(CHECK_LIBS) $(CONFIG_LIBS)

test_passwd_SOURCES  = %D%/test_passwd.c ctl/passwd.c
test_passwd_CPPFLAGS = $(UNIT_CPPFLAGS) $(SODIUM_CFLAGS)
test_passwd_LDADD    = libnet.a libconf.a libbase.a $(CHECK_LIBS) \
	$(CONFIG_LIBS) $(SODIUM_LIBS) $(OPENSSL_LIBS)

test_escape_SOURCES  = %D%/test_escape.c ctl/escape.c
test_escape_CPPFLAGS = $(UNIT_CPPFLAGS)
test_escape_LDADD    = libbase.a $(CHECK_LIBS)

test_fdpass_SOURCES  = %D%/test_fdpass.c
test_fdpass_CPPFLAGS = $(UNIT_CPPFLAGS)
test_fdpass_LDADD    = libshm.a $(CHECK_LIBS)

test_feed_SOURCES  = %D%/test_feed.c
test_feed_CPPFLAGS = $(UNIT_CPPFLAGS)
test_feed_LDADD    = $(BROKER_LIBS) $(CHECK_LIBS)

test_fifo_SOURCES  = %D%/test_fifo.c
test_fifo_CPPFLAGS = $(UNIT_CPPFLAGS)
test_fifo_LDADD    = libbase.a $(CHECK_LIBS)

test_forward_SOURCES  = %D%/test_forward.c
test_forward_CPPFLAGS = $(UNIT_CPPFLAGS)
test_forward_LDADD    = $(BRIDGED_LIBS) $(CHECK_LIBS)

test_gate_SOURCES  = %D%/test_gate.c
test_gate_CPPFLAGS = $(UNIT_CPPFLAGS)
test_gate_LDADD    = $(BROKER_LIBS) $(CHECK_LIBS)

test_held_SOURCES  = %D%/test_held.c
test_held_CPPFLAGS = $(UNIT_CPPFLAGS)
test_held_LDADD    = $(BROKER_LIBS) $(CHECK_LIBS)

test_sequence_SOURCES  = %D%/test_sequence.c bench/sequence.c bench/sequence.h
test_sequence_CPPFLAGS = $(UNIT_CPPFLAGS)
test_sequence_LDADD    = libbase.a $(CHECK_LIBS)

test_histogram_SOURCES  = %D%/test_histogram.c
test_histogram_CPPFLAGS = $(UNIT_CPPFLAGS)
test_histogram_LDADD    = libbase.a $(CHECK_LIBS)

test_http_api_SOURCES  = %D%/test_http_api.c
test_http_api_CPPFLAGS = $(UNIT_CPPFLAGS) $(JANSSON_CFLAGS)
test_http_api_LDADD    = $(HTTPD_LIBS) $(CHECK_LIBS)

test_http_connection_SOURCES  = %D%/test_http_connection.c
test_http_connection_CPPFLAGS = $(UNIT_CPPFLAGS) $(JANSSON_CFLAGS)
test_http_connection_LDADD    = $(HTTPD_LIBS) $(CHECK_LIBS)

test_http_endpoints_SOURCES  = %D%/test_http_endpoints.c
test_http_endpoints_CPPFLAGS = $(UNIT_CPPFLAGS) $(JANSSON_CFLAGS)
test_http_endpoints_LDADD    = $(HTTPD_LIBS) $(CHECK_LIBS)

test_http_held_SOURCES  = %D%/test_http_held.c
test_http_held_CPPFLAGS = $(UNIT_CPPFLAGS)
test_http_held_LDADD    = $(HTTPD_LIBS) $(CHECK_LIBS)

test_http_asks_SOURCES  = %D%/test_http_asks.c
test_http_asks_CPPFLAGS = $(UNIT_CPPFLAGS)
test_http_asks_LDADD    = $(HTTPD_LIBS) $(CHECK_LIBS)

test_http_identity_SOURCES  = %D%/test_http_identity.c
test_http_identity_CPPFLAGS = $(UNIT_CPPFLAGS) $(JANSSON_CFLAGS)
test_http_identity_LDADD    = $(HTTPD_LIBS) $(CHECK_LIBS)

test_http_lanes_SOURCES  = %D%/test_http_lanes.c
test_http_lanes_CPPFLAGS = $(UNIT_CPPFLAGS) $(JANSSON_CFLAGS)
test_http_lanes_LDADD    = $(HTTPD_LIBS) $(CHECK_LIBS)

test_http_drain_SOURCES  = %D%/test_http_drain.c
test_http_drain_CPPFLAGS = $(UNIT_CPPFLAGS) $(JANSSON_CFLAGS)
test_http_drain_LDADD    = $(HTTPD_LIBS) $(CHECK_LIBS)

test_http_overflow_SOURCES  = %D%/test_http_overflow.c
test_http_overflow_CPPFLAGS = $(UNIT_CPPFLAGS) $(JANSSON_CFLAGS)
test_http_overflow_LDADD    = $(HTTPD_LIBS) $(CHECK_LIBS)

test_http_limits_SOURCES  = %D%/test_http_limits.c
test_http_limits_CPPFLAGS = $(UNIT_CPPFLAGS) $(JANSSON_CFLAGS)
test_http_limits_LDADD    = $(HTTPD_LIBS) $(CHECK_LIBS)

test_http_pending_SOURCES  = %D%/test_http_pending.c
test_http_pending_CPPFLAGS = $(UNIT_CPPFLAGS) $(JANSSON_CFLAGS)
test_http_pending_LDADD    = $(HTTPD_LIBS) $(CHECK_LIBS)

test_http_response_SOURCES  = %D%/test_http_response.c
test_http_response_CPPFLAGS = $(UNIT_CPPFLAGS) $(JANSSON_CFLAGS)
test_http_response_LDADD    = $(HTTPD_LIBS) $(CHECK_LIBS)

test_http_uri_SOURCES  = %D%/test_http_uri.c
test_http_uri_CPPFLAGS = $(UNIT_CPPFLAGS) $(JANSSON_CFLAGS)
test_http_uri_LDADD    = $(HTTPD_LIBS) $(CHECK_LIBS)
test_http_tally_SOURCES  = %D%/test_http_tally.c
test_http_tally_CPPFLAGS = $(UNIT_CPPFLAGS) $(JANSSON_CFLAGS)
test_http_tally_LDADD    = $(HTTPD_LIBS) $(CHECK_LIBS)

test_inflight_SOURCES  = %D%/test_inflight.c
test_inflight_CPPFLAGS = $(UNIT_CPPFLAGS)
test_inflight_LDADD    = $(BRIDGED_LIBS) $(CHECK_LIBS)

test_ingest_SOURCES  = %D%/test_ingest.c
test_ingest_CPPFLAGS = $(UNIT_CPPFLAGS)
test_ingest_LDADD    = $(BRIDGED_LIBS) $(CHECK_LIBS)

test_inherited_SOURCES  = %D%/test_inherited.c
test_inherited_CPPFLAGS = $(UNIT_CPPFLAGS)
test_inherited_LDADD    = $(BROKER_LIBS) $(CHECK_LIBS)

test_journal_backup_SOURCES  = %D%/test_journal_backup.c ctl/journal_backup.c
test_journal_backup_CPPFLAGS = $(UNIT_CPPFLAGS)
test_journal_backup_LDADD    = libbase.a $(CHECK_LIBS)

test_journal_export_SOURCES  = %D%/test_journal_export.c \
	ctl/journal_export.c ctl/journal_json.c ctl/journal_json_read.c \
	ctl/journal_print.c ctl/journal_room.c \
	ctl/journal_letters.c ctl/journal_state.c ctl/journal_state_walk.c ctl/journal_view.c
test_journal_export_CPPFLAGS = $(UNIT_CPPFLAGS) $(JANSSON_CFLAGS)
test_journal_export_LDADD    = libstore.a libbase.a $(JANSSON_LIBS) \
	$(CHECK_LIBS)

test_journal_json_SOURCES  = %D%/test_journal_json.c \
	ctl/journal_json.c ctl/journal_json_read.c
test_journal_json_CPPFLAGS = $(UNIT_CPPFLAGS) $(JANSSON_CFLAGS)
test_journal_json_LDADD    = libstore.a libbase.a $(JANSSON_LIBS) $(CHECK_LIBS)

test_journal_state_SOURCES  = %D%/test_journal_state.c \
	ctl/journal_json.c ctl/journal_json_read.c \
	ctl/journal_letters.c ctl/journal_state.c ctl/journal_state_walk.c
test_journal_state_CPPFLAGS = $(UNIT_CPPFLAGS) $(JANSSON_CFLAGS)
test_journal_state_LDADD    = libstore.a libbase.a $(JANSSON_LIBS) $(CHECK_LIBS)

test_journey_SOURCES  = %D%/test_journey.c ctl/journey.c ctl/record_id.c
test_journey_CPPFLAGS = $(UNIT_CPPFLAGS)
test_journey_LDADD    = libring.a libshm.a libbase.a $(CHECK_LIBS)

test_lane_SOURCES  = %D%/test_lane.c
test_lane_CPPFLAGS = $(UNIT_CPPFLAGS)
test_lane_LDADD    = libring.a libshm.a libbase.a $(CHECK_LIBS)

test_limits_SOURCES  = %D%/test_limits.c
test_limits_CPPFLAGS = $(UNIT_CPPFLAGS)
test_limits_LDADD    = $(BROKER_LIBS) $(CHECK_LIBS)

test_links_SOURCES  = %D%/test_links.c
test_links_CPPFLAGS = $(UNIT_CPPFLAGS)
test_links_LDADD    = $(BROKER_LIBS) $(CHECK_LIBS)

test_links_asks_SOURCES  = %D%/test_links_asks.c
test_links_asks_CPPFLAGS = $(UNIT_CPPFLAGS) $(JANSSON_CFLAGS)
test_links_asks_LDADD    = $(BROKER_LIBS) $(CHECK_LIBS)

test_links_handover_SOURCES  = %D%/test_links_handover.c
test_links_handover_CPPFLAGS = $(UNIT_CPPFLAGS)
test_links_handover_LDADD    = $(BROKER_LIBS) $(CHECK_LIBS)

test_links_journal_SOURCES  = %D%/test_links_journal.c
test_links_journal_CPPFLAGS = $(UNIT_CPPFLAGS)
test_links_journal_LDADD    = $(BROKER_LIBS) $(CHECK_LIBS)

test_links_terms_SOURCES  = %D%/test_links_terms.c
test_links_terms_CPPFLAGS = $(UNIT_CPPFLAGS)
test_links_terms_LDADD    = $(BROKER_LIBS) $(CHECK_LIBS)

test_dead_SOURCES  = %D%/test_dead.c
test_dead_CPPFLAGS = $(UNIT_CPPFLAGS)
test_dead_LDADD    = $(BROKER_LIBS) $(CHECK_LIBS)

test_sys_topics_SOURCES  = %D%/test_sys_topics.c
test_sys_topics_CPPFLAGS = $(UNIT_CPPFLAGS)
test_sys_topics_LDADD    = $(BROKER_LIBS) $(CHECK_LIBS)

test_tally_SOURCES  = %D%/test_tally.c
test_tally_CPPFLAGS = $(UNIT_CPPFLAGS)
test_tally_LDADD    = $(BROKER_LIBS) $(CHECK_LIBS)

test_links_lanes_SOURCES  = %D%/test_links_lanes.c
test_links_lanes_CPPFLAGS = $(UNIT_CPPFLAGS)
test_links_lanes_LDADD    = $(BROKER_LIBS) $(CHECK_LIBS)

test_links_turns_SOURCES  = %D%/test_links_turns.c
test_links_turns_CPPFLAGS = $(UNIT_CPPFLAGS)
test_links_turns_LDADD    = $(BROKER_LIBS) $(CHECK_LIBS)

test_listener_SOURCES  = %D%/test_listener.c
test_listener_CPPFLAGS = $(UNIT_CPPFLAGS)
test_listener_LDADD    = libnet.a libbase.a $(CHECK_LIBS) $(EVENT_LIBS)

test_log_SOURCES  = %D%/test_log.c
test_log_CPPFLAGS = $(UNIT_CPPFLAGS)
test_log_LDADD    = libbase.a $(CHECK_LIBS)

test_loop_SOURCES  = %D%/test_loop.c
test_loop_CPPFLAGS = $(UNIT_CPPFLAGS)
test_loop_LDADD    = libnet.a libbase.a $(CHECK_LIBS) $(EVENT_LIBS)

test_loop_signals_SOURCES  = %D%/test_loop_signals.c
test_loop_signals_CPPFLAGS = $(UNIT_CPPFLAGS)
test_loop_signals_LDADD    = libnet.a libbase.a $(CHECK_LIBS) $(EVENT_LIBS)

test_mailbox_SOURCES  = %D%/test_mailbox.c
test_mailbox_CPPFLAGS = $(UNIT_CPPFLAGS)
test_mailbox_LDADD    = $(BROKER_LIBS) $(CHECK_LIBS)

test_manage_conf_SOURCES  = %D%/test_manage_conf.c
test_manage_conf_CPPFLAGS = $(UNIT_CPPFLAGS) $(JANSSON_CFLAGS)
test_manage_conf_LDADD    = $(BROKER_LIBS) $(CHECK_LIBS)

test_mapping_SOURCES  = %D%/test_mapping.c
test_mapping_CPPFLAGS = $(UNIT_CPPFLAGS)
test_mapping_LDADD    = $(BRIDGED_LIBS) $(CHECK_LIBS)

test_memfd_SOURCES  = %D%/test_memfd.c
test_memfd_CPPFLAGS = $(UNIT_CPPFLAGS)
test_memfd_LDADD    = libshm.a $(CHECK_LIBS)

test_message_SOURCES  = %D%/test_message.c
test_message_CPPFLAGS = $(UNIT_CPPFLAGS)
test_message_LDADD    = $(BROKER_LIBS) $(CHECK_LIBS)

test_network_SOURCES  = %D%/test_network.c
test_network_CPPFLAGS = $(UNIT_CPPFLAGS)
test_network_LDADD    = libbase.a $(CHECK_LIBS)

test_notes_SOURCES  = %D%/test_notes.c
test_notes_CPPFLAGS = $(UNIT_CPPFLAGS)
test_notes_LDADD    = libbase.a $(CHECK_LIBS)

test_options_SOURCES  = %D%/test_options.c
test_options_CPPFLAGS = $(UNIT_CPPFLAGS)
test_options_LDADD    = libbase.a $(CHECK_LIBS)

test_pace_SOURCES  = %D%/test_pace.c
test_pace_CPPFLAGS = $(UNIT_CPPFLAGS)
test_pace_LDADD    = $(BRIDGED_LIBS) $(CHECK_LIBS)

test_packet_SOURCES  = %D%/test_packet.c %D%/mqtt_any.h
test_packet_CPPFLAGS = $(UNIT_CPPFLAGS)
test_packet_LDADD    = libmqtt.a libmsg.a libbase.a $(CHECK_LIBS)

test_peer_SOURCES  = %D%/test_peer.c
test_peer_CPPFLAGS = $(UNIT_CPPFLAGS)
test_peer_LDADD    = $(BROKER_LIBS) $(CHECK_LIBS)

test_pool_SOURCES  = %D%/test_pool.c
test_pool_CPPFLAGS = $(UNIT_CPPFLAGS)
test_pool_LDADD    = libbase.a $(CHECK_LIBS)

test_pool_trimmer_SOURCES  = %D%/test_pool_trimmer.c
test_pool_trimmer_CPPFLAGS = $(UNIT_CPPFLAGS)
test_pool_trimmer_LDADD    = libnet.a libbase.a $(CHECK_LIBS) $(EVENT_LIBS)

test_properties_SOURCES  = %D%/test_properties.c
test_properties_CPPFLAGS = $(UNIT_CPPFLAGS)
test_properties_LDADD    = libmqtt.a libmsg.a libbase.a $(CHECK_LIBS)

test_property_words_SOURCES  = %D%/test_property_words.c ctl/property_words.c
test_property_words_CPPFLAGS = $(UNIT_CPPFLAGS)
test_property_words_LDADD    = libmqtt.a libmsg.a libbase.a $(CHECK_LIBS)

test_proxy_header_SOURCES  = %D%/test_proxy_header.c
test_proxy_header_CPPFLAGS = $(UNIT_CPPFLAGS)
test_proxy_header_LDADD    = libbroker.a libstore.a libbase.a $(CHECK_LIBS)

test_publish_fast_SOURCES  = %D%/test_publish_fast.c
test_publish_fast_CPPFLAGS = $(UNIT_CPPFLAGS) $(JANSSON_CFLAGS)
test_publish_fast_LDADD    = $(HTTPD_LIBS) $(CHECK_LIBS)

test_publish_json_SOURCES  = %D%/test_publish_json.c
test_publish_json_CPPFLAGS = $(UNIT_CPPFLAGS) $(JANSSON_CFLAGS)
test_publish_json_LDADD    = $(HTTPD_LIBS) $(CHECK_LIBS)

test_record_SOURCES  = %D%/test_record.c
test_record_CPPFLAGS = $(UNIT_CPPFLAGS)
test_record_LDADD    = libmsg.a libbase.a $(CHECK_LIBS)

test_remote_mqtt_SOURCES  = %D%/test_remote_mqtt.c
test_remote_mqtt_CPPFLAGS = $(UNIT_CPPFLAGS)
test_remote_mqtt_LDADD    = $(BRIDGED_LIBS) $(CHECK_LIBS)

test_retain_SOURCES  = %D%/test_retain.c
test_retain_CPPFLAGS = $(UNIT_CPPFLAGS)
test_retain_LDADD    = $(BROKER_LIBS) $(CHECK_LIBS)

test_ring_SOURCES  = %D%/test_ring.c
test_ring_CPPFLAGS = $(UNIT_CPPFLAGS)
test_ring_LDADD    = libring.a libshm.a libbase.a $(CHECK_LIBS)

test_ring_control_SOURCES  = %D%/test_ring_control.c
test_ring_control_CPPFLAGS = $(UNIT_CPPFLAGS)
test_ring_control_LDADD    = libring.a libshm.a libbase.a $(CHECK_LIBS)

test_ring_growth_SOURCES  = %D%/test_ring_growth.c
test_ring_growth_CPPFLAGS = $(UNIT_CPPFLAGS)
test_ring_growth_LDADD    = libring.a libshm.a libbase.a $(CHECK_LIBS)

test_replay_file_SOURCES  = %D%/test_replay_file.c ctl/replay_file.c
test_replay_file_CPPFLAGS = $(UNIT_CPPFLAGS) $(JANSSON_CFLAGS)
test_replay_file_LDADD    = libmqtt.a libmsg.a libbase.a $(JANSSON_LIBS) \
	$(CHECK_LIBS)

test_report_SOURCES  = %D%/test_report.c
test_report_CPPFLAGS = $(UNIT_CPPFLAGS)
test_report_LDADD    = $(BRIDGED_LIBS) $(CHECK_LIBS)

test_ring_forward_SOURCES  = %D%/test_ring_forward.c
test_ring_forward_CPPFLAGS = $(UNIT_CPPFLAGS)
test_ring_forward_LDADD    = libbase.a $(CHECK_LIBS)

test_ring_dump_SOURCES  = %D%/test_ring_dump.c
test_ring_dump_CPPFLAGS = $(UNIT_CPPFLAGS)
test_ring_dump_LDADD    = libring.a libshm.a libbase.a $(CHECK_LIBS)

test_ring_inspect_SOURCES  = %D%/test_ring_inspect.c
test_ring_inspect_CPPFLAGS = $(UNIT_CPPFLAGS)
test_ring_inspect_LDADD    = libring.a libshm.a libbase.a $(CHECK_LIBS)

test_ring_inspect_party_SOURCES  = %D%/test_ring_inspect_party.c
test_ring_inspect_party_CPPFLAGS = $(UNIT_CPPFLAGS)
test_ring_inspect_party_LDADD    = libring.a libshm.a libbase.a $(CHECK_LIBS)

test_ring_link_SOURCES  = %D%/test_ring_link.c
test_ring_link_CPPFLAGS = $(UNIT_CPPFLAGS)
test_ring_link_LDADD    = libring.a libshm.a libbase.a $(CHECK_LIBS)

test_ring_trace_SOURCES  = %D%/test_ring_trace.c
test_ring_trace_CPPFLAGS = $(UNIT_CPPFLAGS)
test_ring_trace_LDADD    = libring.a libshm.a libbase.a $(CHECK_LIBS)

test_ring_traces_SOURCES  = %D%/test_ring_traces.c
test_ring_traces_CPPFLAGS = $(UNIT_CPPFLAGS)
test_ring_traces_LDADD    = libring.a libshm.a libbase.a $(CHECK_LIBS)

test_ring_rules_SOURCES  = %D%/test_ring_rules.c
test_ring_rules_CPPFLAGS = $(UNIT_CPPFLAGS) $(SODIUM_CFLAGS)
test_ring_rules_LDADD    = $(BROKER_LIBS) $(CHECK_LIBS)

test_scram_SOURCES  = %D%/test_scram.c
test_scram_CPPFLAGS = $(UNIT_CPPFLAGS) $(OPENSSL_CFLAGS)
test_scram_LDADD    = $(BROKER_LIBS) $(CHECK_LIBS)

test_segment_index_SOURCES  = %D%/test_segment_index.c $(STORE_SIM)
test_segment_index_CPPFLAGS = $(UNIT_CPPFLAGS)
test_segment_index_LDADD    = libstore.a libbase.a $(CHECK_LIBS)

test_service_SOURCES  = %D%/test_service.c
test_service_CPPFLAGS = $(UNIT_CPPFLAGS)
test_service_LDADD    = libservice.a libnet.a libconf.a libbase.a $(CHECK_LIBS) \
	$(CONFIG_LIBS) $(EVENT_LIBS) $(SYSTEMD_LIBS) $(SECCOMP_LIBS)

test_session_SOURCES  = %D%/test_session.c
test_session_CPPFLAGS = $(UNIT_CPPFLAGS)
test_session_LDADD    = $(BROKER_LIBS) $(CHECK_LIBS)

test_sources_SOURCES  = %D%/test_sources.c
test_sources_CPPFLAGS = $(UNIT_CPPFLAGS)
test_sources_LDADD    = $(BROKER_LIBS) $(CHECK_LIBS)

test_session_queue_SOURCES  = %D%/test_session_queue.c
test_session_queue_CPPFLAGS = $(UNIT_CPPFLAGS)
test_session_queue_LDADD    = $(BROKER_LIBS) $(CHECK_LIBS)

test_stats_SOURCES  = %D%/test_stats.c
test_stats_CPPFLAGS = $(UNIT_CPPFLAGS)
test_stats_LDADD    = libstats.a libshm.a libbase.a $(CHECK_LIBS)

STORE_SIM = %D%/store_sim.c %D%/store_sim.h %D%/store_sim_disk.c \
	%D%/store_sim_private.h %D%/unit_memory.c %D%/unit_memory.h

# A store on that disk beside a model of it.
STORE_TWIN = %D%/store_model.c %D%/store_model.h %D%/store_script.c \
	%D%/store_script.h %D%/store_twin.c %D%/store_twin.h \
	%D%/store_twin_check.c %D%/store_twin_private.h %D%/store_twin_see.c \
	$(STORE_SIM)
STORE_TWIN_LIBS = libstore.a libmsg.a libbase.a $(CHECK_LIBS)

test_store_faults_SOURCES  = %D%/test_store_faults.c $(STORE_TWIN)
test_store_faults_CPPFLAGS = $(UNIT_CPPFLAGS)
test_store_faults_LDFLAGS  = $(AM_LDFLAGS) -Wl,--wrap=malloc \
	-Wl,--wrap=calloc,--wrap=realloc,--wrap=aligned_alloc
test_store_faults_LDADD    = $(STORE_TWIN_LIBS)

test_store_flip_SOURCES  = %D%/test_store_flip.c $(STORE_TWIN)
test_store_flip_CPPFLAGS = $(UNIT_CPPFLAGS)
test_store_flip_LDADD    = $(STORE_TWIN_LIBS)

test_store_model_SOURCES  = %D%/test_store_model.c $(STORE_TWIN)
test_store_model_CPPFLAGS = $(UNIT_CPPFLAGS)
test_store_model_LDADD    = $(STORE_TWIN_LIBS)

test_store_power_SOURCES  = %D%/test_store_power.c $(STORE_TWIN)
test_store_power_CPPFLAGS = $(UNIT_CPPFLAGS)
test_store_power_LDADD    = $(STORE_TWIN_LIBS)

test_recover_SOURCES  = %D%/test_recover.c %D%/recover_box.h $(STORE_SIM)
test_recover_CPPFLAGS = $(UNIT_CPPFLAGS)
test_recover_LDADD    = $(BROKER_LIBS) $(CHECK_LIBS)

test_session_scan_SOURCES  = %D%/test_session_scan.c
test_session_scan_CPPFLAGS = $(UNIT_CPPFLAGS)
test_session_scan_LDADD    = $(BROKER_LIBS) $(CHECK_LIBS)

test_session_walk_SOURCES  = %D%/test_session_walk.c %D%/recover_box.h \
	$(STORE_SIM)
test_session_walk_CPPFLAGS = $(UNIT_CPPFLAGS)
test_session_walk_LDADD    = $(BROKER_LIBS) $(CHECK_LIBS)

test_store_sim_SOURCES  = %D%/test_store_sim.c $(STORE_SIM)
test_store_sim_CPPFLAGS = $(UNIT_CPPFLAGS)
test_store_sim_LDADD    = libbase.a $(CHECK_LIBS)

test_crc32c_SOURCES  = %D%/test_crc32c.c
test_crc32c_CPPFLAGS = $(UNIT_CPPFLAGS)
test_crc32c_LDADD    = libstore.a libbase.a $(CHECK_LIBS)

test_store_SOURCES  = %D%/test_store.c
test_store_CPPFLAGS = $(UNIT_CPPFLAGS)
test_store_LDADD    = libstore.a libbase.a $(CHECK_LIBS)

test_store_checkpoint_SOURCES  = %D%/test_store_checkpoint.c $(STORE_SIM)
test_store_checkpoint_CPPFLAGS = $(UNIT_CPPFLAGS)
test_store_checkpoint_LDADD    = libstore.a libbase.a $(CHECK_LIBS)

test_store_damage_SOURCES  = %D%/test_store_damage.c
test_store_damage_CPPFLAGS = $(UNIT_CPPFLAGS)
test_store_damage_LDADD    = libstore.a libbase.a $(CHECK_LIBS)

test_store_cursors_SOURCES  = %D%/test_store_cursors.c $(STORE_SIM)
test_store_cursors_CPPFLAGS = $(UNIT_CPPFLAGS)
test_store_cursors_LDADD    = libstore.a libbase.a $(CHECK_LIBS)

test_store_threads_SOURCES  = %D%/test_store_threads.c $(STORE_SIM)
test_store_threads_CPPFLAGS = $(UNIT_CPPFLAGS)
test_store_threads_LDADD    = libstore.a libbase.a $(CHECK_LIBS)

test_store_sync_SOURCES  = %D%/test_store_sync.c $(STORE_SIM)
test_store_sync_CPPFLAGS = $(UNIT_CPPFLAGS)
test_store_sync_LDADD    = libstore.a libbase.a $(CHECK_LIBS)

test_store_merge_SOURCES  = %D%/test_store_merge.c $(STORE_SIM)
test_store_merge_CPPFLAGS = $(UNIT_CPPFLAGS)
test_store_merge_LDADD    = libstore.a libbase.a $(CHECK_LIBS)

test_store_index_SOURCES  = %D%/test_store_index.c $(STORE_SIM)
test_store_index_CPPFLAGS = $(UNIT_CPPFLAGS)
test_store_index_LDADD    = libstore.a libbase.a $(CHECK_LIBS)

test_store_merge_trouble_SOURCES  = %D%/test_store_merge_trouble.c $(STORE_SIM)
test_store_merge_trouble_CPPFLAGS = $(UNIT_CPPFLAGS)
test_store_merge_trouble_LDADD    = libstore.a libbase.a $(CHECK_LIBS)

test_store_reader_SOURCES  = %D%/test_store_reader.c $(STORE_SIM)
test_store_reader_CPPFLAGS = $(UNIT_CPPFLAGS)
test_store_reader_LDADD    = libstore.a libbase.a $(CHECK_LIBS)

test_store_record_SOURCES  = %D%/test_store_record.c
test_store_record_CPPFLAGS = $(UNIT_CPPFLAGS)
test_store_record_LDADD    = libstore.a libbase.a $(CHECK_LIBS)

test_stream_SOURCES  = %D%/test_stream.c
test_stream_CPPFLAGS = $(UNIT_CPPFLAGS)
test_stream_LDADD    = libnet.a libbase.a $(CHECK_LIBS) $(EVENT_LIBS)

test_stream_order_SOURCES  = %D%/test_stream_order.c
test_stream_order_CPPFLAGS = $(UNIT_CPPFLAGS)
test_stream_order_LDADD    = libnet.a libbase.a $(CHECK_LIBS) $(EVENT_LIBS)

test_sub_format_SOURCES  = %D%/test_sub_format.c ctl/sub_format.c
test_sub_format_CPPFLAGS = $(UNIT_CPPFLAGS)
test_sub_format_LDADD    = libmqtt.a libmsg.a libbase.a $(CHECK_LIBS)

test_subscription_tree_SOURCES  = %D%/test_subscription_tree.c
test_subscription_tree_CPPFLAGS = $(UNIT_CPPFLAGS)
test_subscription_tree_LDADD    = $(BROKER_LIBS) $(CHECK_LIBS)

test_subscriptions_SOURCES  = %D%/test_subscriptions.c
test_subscriptions_CPPFLAGS = $(UNIT_CPPFLAGS)
test_subscriptions_LDADD    = $(BRIDGED_LIBS) $(CHECK_LIBS)

test_supervisor_SOURCES  = %D%/test_supervisor.c ctl/child_exec.c \
	ctl/log_relay.c ctl/notify.c ctl/supervisor.c
test_supervisor_CPPFLAGS = $(UNIT_CPPFLAGS) $(EVENT_CFLAGS)
test_supervisor_LDADD    = libnet.a libbase.a $(EVENT_LIBS) $(SYSTEMD_LIBS) \
	$(CHECK_LIBS)

test_template_SOURCES  = %D%/test_template.c
test_template_CPPFLAGS = $(UNIT_CPPFLAGS)
test_template_LDADD    = libbase.a $(CHECK_LIBS)

test_thread_SOURCES  = %D%/test_thread.c
test_thread_CPPFLAGS = $(UNIT_CPPFLAGS)
test_thread_LDADD    = libbase.a $(CHECK_LIBS)

EXTRA_DIST += %D%/certificates.h
test_tls_SOURCES  = %D%/test_tls.c %D%/certificates.c
test_tls_CPPFLAGS = $(UNIT_CPPFLAGS) $(OPENSSL_CFLAGS)
test_tls_LDADD    = libnet.a libbase.a $(CHECK_LIBS) $(EVENT_LIBS) \
	$(OPENSSL_LIBS)

test_tls_server_SOURCES  = %D%/test_tls_server.c %D%/certificates.c
test_tls_server_CPPFLAGS = $(UNIT_CPPFLAGS) $(OPENSSL_CFLAGS)
test_tls_server_LDADD    = libnet.a libbase.a $(CHECK_LIBS) $(EVENT_LIBS) \
	$(OPENSSL_LIBS)

test_tls_tickets_SOURCES  = %D%/test_tls_tickets.c
test_tls_tickets_CPPFLAGS = $(UNIT_CPPFLAGS)
test_tls_tickets_LDADD    = libnet.a libbase.a $(CHECK_LIBS) $(OPENSSL_LIBS)

test_token_bucket_SOURCES  = %D%/test_token_bucket.c
test_token_bucket_CPPFLAGS = $(UNIT_CPPFLAGS)
test_token_bucket_LDADD    = libbase.a $(CHECK_LIBS)

test_top_model_SOURCES  = %D%/test_top_model.c ctl/top_model.c
test_top_model_CPPFLAGS = $(UNIT_CPPFLAGS)
test_top_model_LDADD    = libring.a libshm.a libbase.a $(CHECK_LIBS)

test_topic_SOURCES  = %D%/test_topic.c
test_topic_CPPFLAGS = $(UNIT_CPPFLAGS)
test_topic_LDADD    = libmsg.a libbase.a $(CHECK_LIBS)

test_utf8_SOURCES  = %D%/test_utf8.c
test_utf8_CPPFLAGS = $(UNIT_CPPFLAGS)
test_utf8_LDADD    = libbase.a $(CHECK_LIBS)

test_waker_SOURCES  = %D%/test_waker.c
test_waker_CPPFLAGS = $(UNIT_CPPFLAGS)
test_waker_LDADD    = $(BROKER_LIBS) $(CHECK_LIBS)

test_why_SOURCES  = %D%/test_why.c ctl/table.c ctl/why.c ctl/why_board.c \
	ctl/why_text.c
test_why_CPPFLAGS = $(UNIT_CPPFLAGS) $(SMARTCOLS_CFLAGS)
test_why_LDADD    = libring.a libshm.a libbase.a $(SMARTCOLS_LIBS) \
	$(CHECK_LIBS)

test_worker_commit_SOURCES  = %D%/test_worker_commit.c
test_worker_commit_CPPFLAGS = $(UNIT_CPPFLAGS)
test_worker_commit_LDADD    = $(BROKER_LIBS) $(CHECK_LIBS)

test_websocket_SOURCES  = %D%/test_websocket.c
test_websocket_CPPFLAGS = $(UNIT_CPPFLAGS)
test_websocket_LDADD    = libnet.a libbase.a $(CHECK_LIBS)

test_websocket_client_SOURCES  = %D%/test_websocket_client.c \
	%D%/layer_scene.c %D%/layer_scene.h
test_websocket_client_CPPFLAGS = $(UNIT_CPPFLAGS)
test_websocket_client_LDADD    = libnet.a libbase.a $(CHECK_LIBS) \
	$(EVENT_LIBS) $(OPENSSL_LIBS)

test_websocket_head_SOURCES  = %D%/test_websocket_head.c
test_websocket_head_CPPFLAGS = $(UNIT_CPPFLAGS)
test_websocket_head_LDADD    = libnet.a libbase.a $(CHECK_LIBS) \
	$(HTTP_PARSER_LIBS) $(OPENSSL_LIBS)

test_websocket_server_SOURCES  = %D%/test_websocket_server.c \
	%D%/layer_scene.c %D%/layer_scene.h
test_websocket_server_CPPFLAGS = $(UNIT_CPPFLAGS)
test_websocket_server_LDADD    = libnet.a libbase.a $(CHECK_LIBS) \
	$(EVENT_LIBS) $(HTTP_PARSER_LIBS) $(OPENSSL_LIBS)

test_wire_SOURCES  = %D%/test_wire.c
test_wire_CPPFLAGS = $(UNIT_CPPFLAGS)
test_wire_LDADD    = libmqtt.a libmsg.a libbase.a $(CHECK_LIBS)
endif
