/* SPDX-License-Identifier: Apache-2.0 */

/*
 * layer_scene - a stream with a layer of WebSocket, whose peer the test is.
 *
 * What comes through the layer and what becomes of the stream stands in
 * `scene`; a test writes to scene.peer and reads from it.
 */

#ifndef WEIR_TESTS_UNIT_LAYER_SCENE_H
#define WEIR_TESTS_UNIT_LAYER_SCENE_H

#include <stddef.h>
#include <stdint.h>

#include "common/net/stream.h"
#include "common/net/stream_layer.h"

struct layer_scene {
	struct loop *loop;
	struct stream_hub *hub;
	struct stream stream;
	int peer;             /* the other end of its socket */
	uint8_t got[1 << 20]; /* what on_data() was given, and took */
	size_t got_len;
	unsigned layers; /* that were ready */
	int closed;      /* what on_closed() was told; 1: it was not called */
	char fault_text[STREAM_FAULT_SIZE];
};

extern struct layer_scene scene;

/* A fixture's halves; takes the layer. */
void layer_scene_open(struct stream_layer *layer);
void layer_scene_close(void);

/* What is there now, and no waiting. */
void layer_scene_turn(void);

/* The peer says this; then two turns. */
void layer_scene_say(const void *data, size_t len);

#endif
