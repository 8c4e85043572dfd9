/* SPDX-License-Identifier: Apache-2.0 */

#include "bridged/dial.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/net/websocket.h"
#include "common/service/secure.h"

/* Frames are not kept, so this is no memory: a packet's largest and more. */
#define MAX_FRAME (UINT64_C(1) << 30)

static void on_again(void *arg);

void
dial_init(struct dial *dial, const struct conf_bridge *conf, struct loop *loop,
    const struct dial_callbacks *callbacks, void *arg)
{
	*dial = (struct dial){
		.conf = conf,
		.loop = loop,
		.callbacks = callbacks,
		.arg = arg,
	};
	loop_timer_init(&dial->again, loop, on_again, dial);
}

const struct conf_remote *
dial_remote(const struct dial *dial)
{
	/* A reload may have left fewer of them. */
	return &dial->conf->remotes[dial->at % dial->conf->remote_count];
}

static struct connector *
connect_to(struct dial *dial, const struct conf_remote *remote,
    connector_fn *done, void (*resolved)(void *), void *arg)
{
	const struct conf_bridge *conf = dial->conf;
	const struct connector_spec spec = {
		.host = remote->host,
		.port = remote->port,
		.timeout_ns = conf->connect_timeout_ns,
		.bind_address = conf->bind_address,
		.keepalive_idle_s =
		    (uint32_t)(conf->tcp_keepalive_ns / CLOCK_SECOND_NS),
		.keepalive_interval_s =
		    (uint32_t)(conf->tcp_keepalive_interval_ns /
			CLOCK_SECOND_NS),
		.keepalive_count = conf->tcp_keepalive_count,
		.user_timeout_ms =
		    (uint32_t)(conf->tcp_user_timeout_ns / CLOCK_MS_NS),
		.resolved = resolved,
	};

	return connector_open(dial->loop, &spec, done, arg);
}

static void
on_done(void *arg, int fd, const char *what)
{
	struct dial *dial = arg;

	dial->connector = NULL;
	dial->callbacks->done(dial->arg, fd, what);
}

static void
on_resolved(void *arg)
{
	struct dial *dial = arg;

	if (dial->callbacks->resolved != NULL)
		dial->callbacks->resolved(dial->arg);
}

int
dial_open(struct dial *dial)
{
	dial->connector =
	    connect_to(dial, dial_remote(dial), on_done, on_resolved, dial);
	return dial->connector == NULL ? -ENOMEM : 0;
}

static int
lay_tls(struct dial *dial, const struct conf_remote *remote,
    struct stream *stream, char *error)
{
	const struct conf_tls *conf = &dial->conf->tls;
	struct stream_layer *layer;
	struct tls *tls;
	int err;

	err = secure_client(conf, &tls, error, TLS_ERROR_SIZE);
	if (err != 0)
		return err;
	layer = tls_layer(
	    tls, conf->server_name != NULL ? conf->server_name : remote->host);
	tls_put(tls);
	if (layer == NULL) {
		snprintf(error, TLS_ERROR_SIZE, "out of memory");
		return -ENOMEM;
	}
	stream_push_layer(stream, layer);
	return 0;
}

static int
lay_websocket(
    const struct conf_remote *remote, struct stream *stream, char *error)
{
	struct stream_layer *layer;
	char host[300];

	snprintf(host, sizeof(host),
	    strchr(remote->host, ':') == NULL ? "%s:%u" : "[%s]:%u",
	    remote->host, (unsigned)remote->port);
	layer = websocket_client(host, remote->path, MAX_FRAME);
	if (layer == NULL) {
		snprintf(error, TLS_ERROR_SIZE, "out of memory");
		return -ENOMEM;
	}
	stream_push_layer(stream, layer);
	return 0;
}

int
dial_layers(struct dial *dial, struct stream *stream, char *error)
{
	const struct conf_remote *remote = dial_remote(dial);
	int err = 0;

	if (remote->is_tls)
		err = lay_tls(dial, remote, stream, error);
	if (err == 0 && remote->is_websocket)
		err = lay_websocket(remote, stream, error);
	return err;
}

static void
wait_for_first(struct dial *dial)
{
	if (dial->at != 0 && !dial->conf->urls_order &&
	    dial->conf->primary_retry_ns != 0)
		loop_timer_start(&dial->again, dial->conf->primary_retry_ns);
}

static void
on_probed(void *arg, int fd, const char *what)
{
	struct dial *dial = arg;

	(void)what;
	dial->probe = NULL;
	if (fd < 0) {
		wait_for_first(dial);
		return;
	}
	close(fd);
	dial->is_better = true;
	dial->callbacks->better(dial->arg);
}

static void
on_again(void *arg)
{
	struct dial *dial = arg;

	dial->probe =
	    connect_to(dial, &dial->conf->remotes[0], on_probed, NULL, dial);
	if (dial->probe == NULL)
		wait_for_first(dial);
}

void
dial_up(struct dial *dial)
{
	wait_for_first(dial);
}

void
dial_lost(struct dial *dial, bool was_up)
{
	dial_close(dial);
	if (dial->is_better || (was_up && !dial->conf->urls_order))
		dial->at = 0;
	else
		dial->at = (dial->at + 1) % dial->conf->remote_count;
	dial->is_better = false;
}

void
dial_close(struct dial *dial)
{
	connector_cancel(dial->connector);
	connector_cancel(dial->probe);
	dial->connector = NULL;
	dial->probe = NULL;
	loop_timer_stop(&dial->again);
}
