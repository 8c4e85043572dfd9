/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/unit/layer_scene.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/unit.h"

struct layer_scene scene;

static size_t
on_data(struct stream *s, const uint8_t *data, size_t len)
{
	(void)s;
	memcpy(scene.got + scene.got_len, data, len);
	scene.got_len += len;
	return len;
}

static void
on_closed(struct stream *s, int reason)
{
	scene.closed = reason;
	snprintf(
	    scene.fault_text, sizeof(scene.fault_text), "%s", stream_fault(s));
}

static void
on_layer(struct stream *s, const char *name)
{
	(void)s;
	ck_assert_str_eq(name, "WebSocket");
	scene.layers++;
}

static const struct stream_callbacks callbacks = { on_data, on_closed, NULL,
	on_layer };

void
layer_scene_open(struct stream_layer *layer)
{
	int fds[2];

	signal(SIGPIPE, SIG_IGN);
	ck_assert_int_eq(
	    socketpair(
		AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
	    0);
	scene.loop = loop_new();
	scene.hub = stream_hub_new(scene.loop, 512);
	scene.peer = fds[1];
	scene.got_len = 0;
	scene.layers = 0;
	scene.closed = 1;
	scene.fault_text[0] = '\0';
	ck_assert_int_eq(
	    stream_init(&scene.stream, scene.hub, fds[0], &callbacks, NULL), 0);
	stream_push_layer(&scene.stream, layer);
}

void
layer_scene_close(void)
{
	stream_close(&scene.stream);
	ck_assert_uint_eq(stream_hub_chunks(scene.hub), 0);
	stream_hub_free(scene.hub);
	loop_free(scene.loop);
	close(scene.peer);
}

void
layer_scene_turn(void)
{
	ck_assert_int_eq(loop_turn(scene.loop, false), 0);
}

void
layer_scene_say(const void *data, size_t len)
{
	ck_assert_int_eq(write(scene.peer, data, len), (ssize_t)len);
	layer_scene_turn();
	layer_scene_turn();
}
