# tests/system/ - the real processes, driven from outside by ./run-tests.

EXTRA_DIST += \
	%D%/certificates.py \
	%D%/test_backlog.py \
	%D%/test_bad_config.py \
	%D%/test_bridge.py \
	%D%/test_bridge_rules.py \
	%D%/test_broker_killed.py \
	%D%/test_deliveries.py \
	%D%/test_disk_full.py \
	%D%/test_dump_trace.py \
	%D%/flood_scene.py \
	%D%/flooding.py \
	%D%/test_flood.py \
	%D%/test_flood_kills.py \
	%D%/test_flood_remotes.py \
	%D%/test_growth.py \
	%D%/test_held_publisher.py \
	%D%/test_http_api.py \
	%D%/test_http_auth.py \
	%D%/test_http_limits.py \
	%D%/test_http_stall.py \
	%D%/test_http_manage.py \
	%D%/test_https.py \
	%D%/test_journal.py \
	%D%/test_journal_state.py \
	%D%/test_lanes.py \
	%D%/test_manage.py \
	%D%/test_mosquitto_clients.py \
	%D%/test_openapi.py \
	%D%/test_pending.py \
	%D%/test_power_loss.py \
	%D%/test_pub_sub.py \
	%D%/test_overflow.py \
	%D%/test_qos2_bridge.py \
	%D%/test_reconcile.py \
	%D%/test_rings_visible.py \
	%D%/test_sessions.py \
	%D%/test_store_ctl.py \
	%D%/test_systemd.sh \
	%D%/test_systemd_kills.sh \
	%D%/systemd_box.sh \
	%D%/systemd_in_box.sh \
	%D%/systemd_kills_in_box.py \
	%D%/test_two_suites.py \
	%D%/test_why_top.py \
	%D%/weir.py
