# tests/fuzz/ - libFuzzer targets.  Not part of `make check`: ./run-tests runs
# each 100,000 times, once for all builds.

fuzz_targets = \
	fuzz_http \
	fuzz_jwt \
	fuzz_manage_conf \
	fuzz_mqtt_ack \
	fuzz_mqtt_connack \
	fuzz_mqtt_connect \
	fuzz_mqtt_disconnect \
	fuzz_mqtt_frame \
	fuzz_mqtt_properties \
	fuzz_mqtt_publish \
	fuzz_mqtt_suback \
	fuzz_mqtt_subscribe \
	fuzz_mqtt_unsubscribe \
	fuzz_proxy \
	fuzz_record \
	fuzz_ring \
	fuzz_ring_control \
	fuzz_scram \
	fuzz_store_record \
	fuzz_subscription_tree \
	fuzz_topic \
	fuzz_websocket \
	fuzz_websocket_answer \
	fuzz_websocket_head

FUZZ_RUNS = 10000000

EXTRA_DIST += \
	%D%/run_fuzz.sh \
	%D%/make_corpus.py \
	%D%/fuzz.h \
	%D%/fuzz_http.c \
	%D%/fuzz_jwt.c \
	%D%/fuzz_manage_conf.c \
	%D%/fuzz_mqtt.h \
	%D%/fuzz_mqtt_ack.c \
	%D%/fuzz_mqtt_connack.c \
	%D%/fuzz_mqtt_connect.c \
	%D%/fuzz_mqtt_disconnect.c \
	%D%/fuzz_mqtt_frame.c \
	%D%/fuzz_mqtt_properties.c \
	%D%/fuzz_mqtt_publish.c \
	%D%/fuzz_mqtt_suback.c \
	%D%/fuzz_mqtt_subscribe.c \
	%D%/fuzz_mqtt_unsubscribe.c \
	%D%/fuzz_proxy.c \
	%D%/fuzz_record.c \
	%D%/fuzz_ring.c \
	%D%/fuzz_ring_control.c \
	%D%/fuzz_scram.c \
	%D%/fuzz_store_record.c \
	%D%/fuzz_subscription_tree.c \
	%D%/fuzz_topic.c \
	%D%/fuzz_topic.h \
	%D%/fuzz_websocket.c \
	%D%/fuzz_websocket_answer.c \
	%D%/fuzz_websocket_head.c \
	%D%/corpus

# All of them for long, by hand: make fuzz [FUZZ_RUNS=N] [fuzz_targets=...]
.PHONY: fuzz
fuzz:
	top_srcdir=$(top_srcdir) $(SHELL) $(top_srcdir)/%D%/run_fuzz.sh \
		$(fuzz_targets) $(FUZZ_RUNS)
