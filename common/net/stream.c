/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The life of a stream, its events and the end of the turn, when what was
 * written is taken.  The path of a byte in is stream_input.c's, the path of a
 * byte out stream_output.c's.
 *
 * Callbacks may close any stream.  After each one the stream at hand is
 * touched only if the hub's `current` still names it: closing clears that.
 */

#include "common/net/stream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/bug.h"
#include "common/base/container_of.h"
#include "common/net/pool_trimmer.h"
#include "common/net/stream_hub.h"

/* How often a turn looks at what its own callbacks marked. */
#define MAX_PASSES 4

static void on_ready(struct loop_source *source, unsigned ready);
static void end_turn(void *arg);

static bool
has_dirty(struct stream_hub *hub)
{
	return !cds_list_empty(&hub->heard) || !cds_list_empty(&hub->silent);
}

struct stream_hub *
stream_hub_new(struct loop *loop, uint32_t max_chunks)
{
	struct stream_hub *hub = malloc(sizeof(*hub));

	if (hub == NULL)
		return NULL;
	/* The scratch buffer stays untouched: no pages before it is used. */
	hub->loop = loop;
	CDS_INIT_LIST_HEAD(&hub->heard);
	CDS_INIT_LIST_HEAD(&hub->silent);
	hub->current = NULL;
	hub->written = 0;
	hub->marked = 0;
	hub->fault[0] = '\0';
	if (pool_init(&hub->chunks, sizeof(struct stream_chunk), 0,
		max_chunks) != 0) {
		free(hub);
		return NULL;
	}
	hub->hook = (struct loop_hook){ .run = end_turn, .arg = hub };
	loop_add_hook(loop, &hub->hook);
	return hub;
}

uint64_t
stream_hub_bytes_in(const struct stream_hub *hub)
{
	return hub->bytes_in;
}

uint64_t
stream_hub_bytes_out(const struct stream_hub *hub)
{
	return hub->bytes_out;
}

void
stream_hub_trim(struct stream_hub *hub, struct pool_trimmer *trimmer)
{
	pool_trimmer_add(trimmer, &hub->chunks);
}

void
stream_hub_free(struct stream_hub *hub)
{
	if (hub == NULL)
		return;
	BUG_ON(has_dirty(hub));
	loop_remove_hook(hub->loop, &hub->hook);
	pool_fini(&hub->chunks);
	free(hub);
}

uint32_t
stream_hub_chunks(struct stream_hub *hub)
{
	return pool_in_use(&hub->chunks);
}

void
stream_mark_dirty(struct stream *stream)
{
	struct stream_hub *hub = stream->hub;

	if (stream->dirty)
		return;
	stream->dirty = true;
	cds_list_add_tail(
	    &stream->node, stream->silent ? &hub->silent : &hub->heard);
	hub->marked++;
	/* Not from an event: the hook may have run already. */
	if (!loop_is_dispatching(hub->loop))
		loop_again(hub->loop);
}

void
stream_heard(struct stream *stream)
{
	if (!stream->silent)
		return;
	stream->silent = false;
	if (!stream->dirty)
		return;
	cds_list_del(&stream->node);
	cds_list_add_tail(&stream->node, &stream->hub->heard);
}

static void
unmark_dirty(struct stream *stream)
{
	if (!stream->dirty)
		return;
	cds_list_del(&stream->node);
	stream->dirty = false;
}

void
stream_update_interest(struct stream *stream)
{
	bool is_wanted = !stream->paused && !stream->closing;
	unsigned want = 0;
	int err;

	/* A handshake goes on whatever its owner wants to read. */
	if ((is_wanted || stream->waits || !stream_is_ready(stream)) &&
	    !stream->ended && stream->error == 0)
		want |= LOOP_READ;
	if (stream->full)
		want |= LOOP_WRITE;
	err = loop_source_wait(stream->hub->loop, &stream->source, want);
	if (err != 0)
		stream_fail_later(stream, err);
}

int
stream_init(struct stream *stream, struct stream_hub *hub, int fd,
    const struct stream_callbacks *callbacks, void *owner)
{
	int err;

	*stream = (struct stream){
		.owner = owner,
		.hub = hub,
		.callbacks = callbacks,
		.write_limit = STREAM_DEFAULT_WRITE_LIMIT,
		.input_limit = STREAM_DEFAULT_INPUT_LIMIT,
		.source = { .ready = on_ready, .fd = fd },
	};
	err = loop_source_wait(hub->loop, &stream->source, LOOP_READ);
	if (err == 0)
		return 0;
	close(fd);
	stream->source.fd = -1;
	return err;
}

void
stream_let_go(struct stream *stream)
{
	loop_source_wait(stream->hub->loop, &stream->source, 0);
	stream_layer_free(stream->layer);
	stream->layer = NULL;
	unmark_dirty(stream);
	stream_drop_output(stream);
	stream_forget_kept(stream);
	if (stream->hub->current == stream)
		stream->hub->current = NULL;
	stream->source.fd = -1;
}

void
stream_close(struct stream *stream)
{
	int fd = stream->source.fd;

	if (!stream_is_open(stream))
		return;
	/* Not behind bytes that the peer would then miss. */
	if (stream_pending(stream) == 0 && stream->error == 0)
		stream_layer_finish(stream->layer);
	stream_let_go(stream);
	close(fd);
}

/* The end: close, then tell. */
static void
report_closed(struct stream *stream, int reason)
{
	struct stream_hub *hub = stream->hub;

	snprintf(hub->fault, sizeof(hub->fault), "%s",
	    stream_layer_fault(stream->layer));
	stream_close(stream);
	stream->callbacks->on_closed(stream, reason);
}

static void
on_ready(struct loop_source *source, unsigned ready)
{
	struct stream *stream = CONTAINER_OF(source, struct stream, source);
	struct stream_hub *hub = stream->hub;

	if ((ready & LOOP_WRITE) != 0) {
		stream->full = false;
		stream_update_interest(stream);
		stream_mark_dirty(stream);
	}
	/* Layers may read in order to send, and send in order to read. */
	if (stream->layer != NULL) {
		stream->waits = false;
		stream_mark_dirty(stream);
		ready |= LOOP_READ;
	}
	/* `paused` may be news of this very turn. */
	if ((ready & LOOP_READ) != 0 &&
	    ((!stream->paused && !stream->closing) || !stream_is_ready(stream)))
		stream_read_some(stream);
	if (hub->written >= STREAM_EARLY_BYTES &&
	    hub->written / STREAM_EARLY_BYTES_EACH >= hub->marked)
		stream_hub_flush(hub);
}

/* A stream that had been full is empty: tell. */
static bool
report_drained(struct stream *stream)
{
	struct stream_hub *hub = stream->hub;

	if (!stream->was_full || stream_pending(stream) > 0)
		return true;
	stream->was_full = false;
	if (stream->callbacks->on_drained == NULL)
		return true;
	hub->current = stream;
	stream->callbacks->on_drained(stream);
	if (hub->current != stream)
		return false;
	hub->current = NULL;
	return true;
}

static void
run_stream(struct stream *stream)
{
	int err;

	/* False: closed, perhaps freed, or failed and marked again. */
	if (stream->error == 0 &&
	    (!stream_feed_again(stream) || !stream_read_more(stream)))
		return;
	if (stream->error != 0) {
		report_closed(stream, stream->error);
		return;
	}
	err = stream_flush(stream);
	if (err == 0 && stream->layer != NULL && !stream_layers_moved(stream))
		return;
	if (err != 0 || (stream->closing && stream_pending(stream) == 0)) {
		report_closed(stream, err);
		return;
	}
	if (!report_drained(stream))
		return;
	/* The peer will not send any more; what there was to say to it was
	 * said as far as there was room. */
	if (stream->ended && !stream->paused)
		report_closed(stream, 0);
}

/* Callbacks may mark, close or free any: each is off the list before. */
static void
run_first(struct cds_list_head *list)
{
	struct stream *stream = CONTAINER_OF(list->next, struct stream, node);

	unmark_dirty(stream);
	run_stream(stream);
}

static void
run_heard(struct stream_hub *hub)
{
	CDS_LIST_HEAD(batch);

	cds_list_splice(&hub->heard, &batch);
	CDS_INIT_LIST_HEAD(&hub->heard);
	while (!cds_list_empty(&batch))
		run_first(&batch);
}

static void
run_silent(struct stream_hub *hub, size_t most)
{
	for (; most > 0 && !cds_list_empty(&hub->silent); most--)
		run_first(&hub->silent);
}

/* What callbacks mark is looked at in the same turn, but not for ever. */
void
stream_hub_flush(struct stream_hub *hub)
{
	const size_t marked = hub->marked;

	hub->written = 0;
	hub->marked = 0;
	for (int pass = 0; has_dirty(hub) && pass < MAX_PASSES; pass++) {
		run_heard(hub);
		run_silent(hub, marked);
	}
	if (has_dirty(hub))
		loop_again(hub->loop);
}

/*
 * Who says something does not wait for many that are silent: these come in
 * shares, and the loop looks for news between them, unless much waits.
 */
static void
end_turn(void *arg)
{
	struct stream_hub *hub = arg;

	if (hub->written >= STREAM_EARLY_BYTES) {
		stream_hub_flush(hub);
		return;
	}
	for (int i = 0; !cds_list_empty(&hub->heard) && i < MAX_PASSES; i++)
		run_heard(hub);
	run_silent(hub, STREAM_SILENT_SHARE);
	if (has_dirty(hub)) {
		loop_again(hub->loop);
		return;
	}
	hub->written = 0;
	hub->marked = 0;
}

void
stream_finish(struct stream *stream)
{
	if (!stream_is_open(stream) || stream->closing)
		return;
	stream->closing = true;
	stream_update_interest(stream);
	stream_mark_dirty(stream);
}

void
stream_set_limits(
    struct stream *stream, uint32_t write_limit, uint32_t input_limit)
{
	stream->write_limit = write_limit;
	stream->input_limit = input_limit;
}

void
stream_pause_read(struct stream *stream)
{
	if (stream->paused || !stream_is_open(stream))
		return;
	stream->paused = true;
	stream_update_interest(stream);
}

void
stream_resume_read(struct stream *stream)
{
	if (!stream->paused || !stream_is_open(stream))
		return;
	stream->paused = false;
	stream_update_interest(stream);
	stream->want_feed = stream->kept_len > 0;
	if (stream->want_feed || stream->ended || stream->more)
		stream_mark_dirty(stream);
}

bool
stream_is_open(const struct stream *stream)
{
	/* A zeroed stream has no hub and is not open. */
	return stream->hub != NULL && stream->source.fd != -1;
}

bool
stream_is_paused(const struct stream *stream)
{
	return stream->paused;
}

int
stream_fd(const struct stream *stream)
{
	return stream->source.fd;
}

struct stream_hub *
stream_hub(const struct stream *stream)
{
	return stream->hub;
}
