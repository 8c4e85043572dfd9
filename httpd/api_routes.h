/* SPDX-License-Identifier: Apache-2.0 */

/*
 * api_routes - what endpoints.def names: the functions of the management.
 *
 * Each answers the request, at once or when the broker has.  The loop's
 * thread.
 */

#ifndef WEIR_HTTPD_API_ROUTES_H
#define WEIR_HTTPD_API_ROUTES_H

#include "common/base/slice.h"

struct httpd;
struct request;

#define API_RUN(name)                                                          \
	void name(                                                             \
	    struct httpd *httpd, struct request *request, struct slice body)

/* api_node.c */
API_RUN(api_list_run);
API_RUN(api_status_run);
API_RUN(api_brokers_run);
API_RUN(api_nodes_run);
API_RUN(api_metrics_run);
API_RUN(api_stats_run);

/* api_clients.c */
API_RUN(api_clients_run);
API_RUN(api_client_run);
API_RUN(api_kick_run);
API_RUN(api_subscriptions_run);
API_RUN(api_client_subscriptions_run);
API_RUN(api_topic_tree_run);

/* api_configuration.c */
API_RUN(api_configuration_run);
API_RUN(api_reloadable_run);
API_RUN(api_reload_run);

/* api_bridges.c */
API_RUN(api_bridges_run);
API_RUN(api_bridge_put_run);
API_RUN(api_bridge_create_run);
API_RUN(api_bridge_delete_run);
API_RUN(api_bridge_switch_run);
API_RUN(api_dead_run);
API_RUN(api_dead_one_run);
API_RUN(api_dead_retry_run);
API_RUN(api_dead_drop_run);

#undef API_RUN

#endif
