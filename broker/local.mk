# broker/ - weir-broker, the process that speaks MQTT.

sbin_PROGRAMS    += %D%/weir-broker
noinst_LIBRARIES += libbroker.a

BROKER_CPPFLAGS = $(AM_CPPFLAGS) $(EVENT_CFLAGS) $(URCU_CFLAGS) \
	$(SODIUM_CFLAGS) $(JANSSON_CFLAGS)
BROKER_LIBS = libbroker.a libstore.a libservice.a libnet.a libconf.a libmqtt.a libmsg.a \
	libstats.a libring.a libshm.a libbase.a $(EVENT_LIBS) $(URCU_LIBS) \
	$(CONFIG_LIBS) $(SODIUM_LIBS) $(JANSSON_LIBS) $(SYSTEMD_LIBS) \
	$(SECCOMP_LIBS)

# All but main(), for the unit tests too.
libbroker_a_CPPFLAGS = $(BROKER_CPPFLAGS)
libbroker_a_SOURCES = \
	%D%/ack_queue.c \
	%D%/acks.c \
	%D%/admit.c \
	%D%/admit.h \
	%D%/alarms.c \
	%D%/alarms.h \
	%D%/auth.c \
	%D%/auth.h \
	%D%/auth_accounts.c \
	%D%/auth_accounts.h \
	%D%/auth_initial.c \
	%D%/auth_initial.h \
	%D%/auth_key.c \
	%D%/auth_key.h \
	%D%/auth_names.c \
	%D%/auth_names.h \
	%D%/auth_revoke.c \
	%D%/auth_revoke.h \
	%D%/backlog.c \
	%D%/backlog.h \
	%D%/bridge_port.c \
	%D%/bridge_port.h \
	%D%/bridge_port_links.h \
	%D%/bridge_table.c \
	%D%/bridge_table.h \
	%D%/broker.c \
	%D%/broker.h \
	%D%/checkpoint.c \
	%D%/checkpoint.h \
	%D%/claims.c \
	%D%/claims.h \
	%D%/client.c \
	%D%/client.h \
	%D%/commit.c \
	%D%/commit.h \
	%D%/commit_append.c \
	%D%/commit_gather.c \
	%D%/commit_item.c \
	%D%/commit_keeper.c \
	%D%/commit_line.c \
	%D%/commit_news.c \
	%D%/commit_port.c \
	%D%/commit_private.h \
	%D%/commit_reader.c \
	%D%/counters.c \
	%D%/counters.def \
	%D%/counters.h \
	%D%/deliver.c \
	%D%/deliver.h \
	%D%/dispatch.c \
	%D%/drop_episode.c \
	%D%/drop_episode.h \
	%D%/feed.c \
	%D%/feed.h \
	%D%/handover.c \
	%D%/handover.h \
	%D%/held.c \
	%D%/held.h \
	%D%/journal.c \
	%D%/journal.h \
	%D%/links.c \
	%D%/links.h \
	%D%/links_asks.c \
	%D%/links_asks.h \
	%D%/links_auth.c \
	%D%/links_auth.h \
	%D%/links_connection.c \
	%D%/links_connection.h \
	%D%/links_control.c \
	%D%/links_control.h \
	%D%/links_credit.c \
	%D%/links_credit.h \
	%D%/links_drain.c \
	%D%/links_drain.h \
	%D%/links_egress.c \
	%D%/links_egress.h \
	%D%/links_endpoint.c \
	%D%/links_endpoint.h \
	%D%/links_episodes.c \
	%D%/links_feed.c \
	%D%/links_feed.h \
	%D%/links_feed_private.h \
	%D%/links_feed_ring.c \
	%D%/links_handback.c \
	%D%/links_handback.h \
	%D%/links_incoming.c \
	%D%/links_incoming.h \
	%D%/links_ingress.c \
	%D%/links_ingress.h \
	%D%/links_journal.c \
	%D%/links_journal.h \
	%D%/links_lanes.c \
	%D%/links_lanes.h \
	%D%/links_memory.c \
	%D%/links_memory.h \
	%D%/links_output.c \
	%D%/links_output.h \
	%D%/links_pending.c \
	%D%/links_pending.h \
	%D%/links_private.h \
	%D%/links_request.c \
	%D%/links_request.h \
	%D%/links_salvage.c \
	%D%/links_salvage.h \
	%D%/links_socket.c \
	%D%/links_socket.h \
	%D%/links_status.c \
	%D%/links_status.h \
	%D%/links_store.c \
	%D%/links_store.h \
	%D%/links_tend.c \
	%D%/links_tend.h \
	%D%/links_words.c \
	%D%/links_words.h \
	%D%/mailbox.c \
	%D%/mailbox.h \
	%D%/manage.c \
	%D%/manage.h \
	%D%/manage_asks.def \
	%D%/manage_status.c \
	%D%/message.c \
	%D%/message.h \
	%D%/on_ack.c \
	%D%/on_connect.c \
	%D%/on_publish.c \
	%D%/on_subscribe.c \
	%D%/outbox.c \
	%D%/outbox.h \
	%D%/packet_ids.c \
	%D%/packet_ids.h \
	%D%/parked.c \
	%D%/publish.c \
	%D%/publish.h \
	%D%/rcu.h \
	%D%/recover.c \
	%D%/recover.h \
	%D%/recover_finish.c \
	%D%/recover_private.h \
	%D%/recover_state.c \
	%D%/recover_state.h \
	%D%/retain.c \
	%D%/retain.h \
	%D%/retain_job.c \
	%D%/retain_job.h \
	%D%/route.c \
	%D%/route.h \
	%D%/session.c \
	%D%/session.h \
	%D%/session_queue.c \
	%D%/session_queue.h \
	%D%/session_records.c \
	%D%/session_records.h \
	%D%/session_walk.c \
	%D%/session_walk.h \
	%D%/settle.c \
	%D%/settle.h \
	%D%/sources.c \
	%D%/sources.h \
	%D%/subscription_group.c \
	%D%/subscription_list.c \
	%D%/subscription_match.c \
	%D%/subscription_node.c \
	%D%/subscription_private.h \
	%D%/subscription_tree.c \
	%D%/subscription_tree.h \
	%D%/topic_aliases.c \
	%D%/wall_clock.h \
	%D%/will.c \
	%D%/will.h \
	%D%/waker.c \
	%D%/waker.h \
	%D%/worker.c \
	%D%/worker.h \
	%D%/worker_commit.c \
	%D%/worker_listeners.c \
	%D%/worker_listeners.h

%C%_weir_broker_SOURCES  = %D%/main.c
%C%_weir_broker_CPPFLAGS = $(BROKER_CPPFLAGS)
%C%_weir_broker_LDADD    = $(BROKER_LIBS)
