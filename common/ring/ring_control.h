/* SPDX-License-Identifier: Apache-2.0 */

/*
 * ring_control - the words spoken on the broker's control socket.
 *
 * run_dir/broker.sock is a SOCK_SEQPACKET socket; a message is a
 * `struct ring_control_header` and a body, with descriptors beside it.
 * SO_PEERCRED tells the broker whose process it is.
 *
 *	endpoint                          broker
 *	  HELLO{abi, role, name}  ---->
 *	  HELD_SIDES{identity} + 2 sides ---->	  (if the HELLO says so: memory
 *	  HELD_LANE{direction, geometry}	   of a link whose broker died;
 *		+ memfd ... HELD_END	  ---->	   see ring_handback.h)
 *	                          <----   REFUSED{text}, or
 *	                          <----   GRANT{identity} + 2 sides + 2 bells
 *	                          <----   LANE{direction, geometry} + memfd
 *	                                  (each open lane, also of a former
 *life)
 *	                          <----   FILTER{bridge, filter} ... (ingress)
 *	                          <----   FILTERS_END{version}
 *	  READY                   ---->
 *	  OPEN_LANE{set}          ---->
 *	                          <----   LANE + memfd, or LANE_REFUSED{set,
 *text}
 *	                          <----   FILTERS_BEGIN .. FILTER .. FILTERS_END
 *	                                  (when bridges change)
 *	  CLOSE_LANE{lane, set}   ---->   (it is empty, and stays so)
 *	                          <----   LANE_CLOSED{lane, set}
 *	  POISONED{text}          <--->   the link is closed, here is why
 *
 *	                          <----   ORDER{text}: a word for the program,
 *	                                  also before GRANT; see below
 *
 *	weirctl
 *	  HELLO{role CONTROL}, REQUEST{text} ----> ANSWER{text}
 *
 * The socket stays open while the endpoint lives; its end is the sign that
 * the other process is gone (the broker also watches a pidfd).
 */

#ifndef WEIR_COMMON_RING_RING_CONTROL_H
#define WEIR_COMMON_RING_RING_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ring/ring_layout.h"
#include "common/ring/ring_link.h"
#include "common/shm/fdpass.h"

#define RING_CONTROL_SOCKET "broker.sock" /* in run_dir */
#define RING_CONTROL_MAX 66000u           /* longest message, bytes */
#define RING_CONTROL_TEXT_MAX 65536u
#define RING_CONTROL_ANSWER_MAX (32u << 20) /* ... of all its pieces */

enum ring_control_type {
	RING_CONTROL_HELLO = 1,
	RING_CONTROL_REFUSED,
	RING_CONTROL_GRANT,
	RING_CONTROL_LANE,
	RING_CONTROL_FILTERS_BEGIN,
	RING_CONTROL_FILTER,
	RING_CONTROL_FILTERS_END,
	RING_CONTROL_READY,
	RING_CONTROL_OPEN_LANE,
	RING_CONTROL_LANE_REFUSED,
	RING_CONTROL_POISONED,
	RING_CONTROL_REQUEST,
	RING_CONTROL_ANSWER,
	RING_CONTROL_HELD_SIDES,
	RING_CONTROL_HELD_LANE,
	RING_CONTROL_HELD_END,
	RING_CONTROL_CLOSE_LANE,
	RING_CONTROL_LANE_CLOSED,
	RING_CONTROL_ORDER,
};

struct ring_control_header {
	uint32_t magic; /* RING_CONTROL_MAGIC */
	uint32_t type;  /* enum ring_control_type */
};

#define RING_CONTROL_MAGIC UINT32_C(0x52494557) /* "WEIR" */

struct ring_control_hello {
	struct ring_control_header header;
	uint32_t abi;
	uint32_t role; /* enum ring_role */
	char name[RING_NAME_MAX];
	char boot_id[40];
	uint32_t holds_link; /* 1: HELD_SIDES ... HELD_END follow */
	uint32_t reserved;
};

/*
 * Descriptors, in this order: broker's side (read-only), endpoint's side,
 * bells' to_broker, bells' to_endpoint_wait, and the broker's counters
 * (read-only, see common/stats; absent if it has none).
 */
struct ring_control_grant {
	struct ring_control_header header;
	struct ring_link_identity identity;
};

enum ring_direction {
	RING_TO_BROKER = 1,
	RING_TO_ENDPOINT = 2,
};

/* Descriptors: the broker's side (read-only), the endpoint's side. */
struct ring_control_held_sides {
	struct ring_control_header header;
	struct ring_link_identity identity;
};

/* LANE and HELD_LANE.  Descriptor: the lane memfd (read-write if the receiver
 * produces it). */
struct ring_control_lane {
	struct ring_control_header header;
	uint32_t direction; /* enum ring_direction */
	uint32_t reserved;
	struct ring_lane_geometry geometry;
};

/* One forward filter of one bridge that can stall or reject. */
struct ring_control_filter {
	struct ring_control_header header;
	char bridge[RING_NAME_MAX];
	uint16_t filter_length; /* bytes that follow */
	uint16_t reserved[3];
};

struct ring_control_filters_end {
	struct ring_control_header header;
	uint64_t version;
};

/* A set: bridge names in byte order, joined by '+'; "*" means any bridge. */
struct ring_control_open_lane {
	struct ring_control_header header;
	char set[RING_NAME_MAX];
};

/*
 * CLOSE_LANE and LANE_CLOSED.  The lane's memory is given up.  Its slot may
 * be opened again with new memory, where positions and sequences go on: what
 * (link, lane, sequence) names is named once.
 */
struct ring_control_close_lane {
	struct ring_control_header header;
	uint32_t lane;
	uint32_t reserved;
	char set[RING_NAME_MAX];
};

/*
 * What an ORDER says.  A bridge that is disabled is told so before each GRANT;
 * whoever does not know a word ignores it.
 */
#define RING_ORDER_RELOAD "reload"   /* read the configuration again */
#define RING_ORDER_DISABLE "disable" /* no connection to the remote */
#define RING_ORDER_ENABLE "enable"

/* REFUSED, POISONED, REQUEST, ANSWER, ORDER: text follows, `length` bytes. */
struct ring_control_text {
	struct ring_control_header header;
	char set[RING_NAME_MAX]; /* LANE_REFUSED only */
	uint32_t length;
	uint32_t more; /* ANSWER only; 1: another one goes on with it */
};

/*
 * Both halves: one message in, checked; one message out.
 *
 * A received message is complete: the body has the length of its type, enums
 * are in range, strings end within their fields, and it carries exactly the
 * descriptors that the list above gives it.  It is large; keep one per loop.
 */
struct ring_control_message {
	enum ring_control_type type;
	union {
		struct ring_control_header header;
		struct ring_control_hello hello;
		struct ring_control_grant grant;
		struct ring_control_held_sides held_sides;
		struct ring_control_lane lane;
		struct ring_control_filter filter;
		struct ring_control_filters_end filters_end;
		struct ring_control_open_lane open_lane;
		struct ring_control_close_lane close_lane;
		struct ring_control_text text;
		uint8_t bytes[RING_CONTROL_MAX + 1];
	} body;
	const char *text; /* what follows the body (filter or text), else "" */
	size_t text_length; /* text[text_length] is NUL; no NUL within */
	int fds[FDPASS_MAX];
	unsigned fd_count;
};

/*
 * Receive one message; never blocks.  Returns 1 with its descriptors the
 * caller's; 0 at the end of the stream; -EAGAIN when there is none; -EBADMSG
 * when it is not a valid message (its descriptors are closed); or -errno.
 */
int ring_control_receive(int sock, struct ring_control_message *out_message);

/* Close the descriptors that were not taken (set to -1 those that were). */
void ring_control_close_fds(struct ring_control_message *message);

/*
 * Send one message; never blocks.  Descriptors stay the caller's, text longer
 * than RING_CONTROL_TEXT_MAX is cut.  Returns 0, or -errno; -EAGAIN: the peer
 * does not read, wait until the socket is writable and send again.
 */
int ring_control_send_hello(
    int sock, enum ring_role role, const char *name, bool holds_link);
int ring_control_send_held_sides(
    int sock, const struct ring_link_identity *identity, const int fds[2]);
int ring_control_send_held_lane(int sock, enum ring_direction direction,
    const struct ring_lane_geometry *geometry, int fd);
int ring_control_send_held_end(int sock);
int ring_control_send_grant(int sock, const struct ring_link_identity *identity,
    const int *fds, unsigned count);
int ring_control_send_lane(int sock, enum ring_direction direction,
    const struct ring_lane_geometry *geometry, int fd);
int ring_control_send_filters_begin(int sock);
int ring_control_send_filter(
    int sock, const char *bridge, const char *filter, size_t filter_length);
int ring_control_send_filters_end(int sock, uint64_t version);
int ring_control_send_ready(int sock);
int ring_control_send_open_lane(int sock, const char *set);
/* CLOSE_LANE or LANE_CLOSED. */
int ring_control_send_close_lane(
    int sock, enum ring_control_type type, uint32_t lane, const char *set);
int ring_control_send_lane_refused(int sock, const char *set, const char *text);
/* REFUSED, POISONED, REQUEST or ANSWER. */
int ring_control_send_text(
    int sock, enum ring_control_type type, const char *text);

/* /proc/sys/kernel/random/boot_id, "" if it cannot be read. */
void ring_control_boot_id(char out_boot_id[40]);

/*
 * A connected, non-blocking, close-on-exec socket to run_dir/broker.sock.
 * Returns the descriptor or -errno.
 */
int ring_control_connect(const char *run_dir);

/*
 * The endpoint's half, for httpd and bridged: connect, attach, follow.
 * Not tied to an event loop: watch ring_endpoint_fd() for reading and call
 * ring_endpoint_process() when it is readable.
 */
struct ring_endpoint;

struct ring_endpoint_callbacks {
	/*
	 * The link is up; lanes so far are in it (ring_link_producer_lane()
	 * names their sets).  Called at each (re)attach, before the filters.
	 */
	void (*attached)(void *context, struct ring_link *link);
	/* A lane was opened (after OPEN_LANE); it is in the link already. */
	void (*lane_opened)(void *context, enum ring_direction direction,
	    const struct ring_lane_geometry *geometry);
	/*
	 * Does anything wait to be put into this idle lane?  Then it stays.
	 * May be NULL: nothing does.
	 */
	bool (*lane_is_wanted)(void *context, const char *set);
	/*
	 * The broker is asked to close it: nothing may be put into it, what
	 * comes must wait.  Then it is closed, and may be opened again.
	 */
	void (*lane_closing)(void *context, const char *set, uint32_t lane);
	void (*lane_closed)(void *context, const char *set, uint32_t lane);
	/* No such lane: `text` says why. */
	void (*lane_refused)(void *context, const char *set, const char *text);
	/* The bridges' filters, as a whole: begin, each, end. */
	void (*filters_begin)(void *context);
	void (*filter)(void *context, const char *bridge, const char *filter,
	    size_t filter_length);
	void (*filters_end)(void *context, uint64_t version);
	/*
	 * RING_ORDER_*; may come before `attached`.  May be NULL.
	 */
	void (*order)(void *context, const char *word);
	/*
	 * The broker is gone, or refused or closed the link (`reason`, may be
	 * NULL).  `link` is detached right after this call.  The endpoint may
	 * not be freed or connected again from within.
	 */
	void (*lost)(void *context, const char *reason);
};

/* NULL with errno ENOMEM.  Strings are copied. */
struct ring_endpoint *ring_endpoint_new(const char *run_dir,
    enum ring_role role, const char *name,
    const struct ring_endpoint_callbacks *callbacks, void *context);
void ring_endpoint_free(struct ring_endpoint *endpoint);

/*
 * Connect and say HELLO.  Returns 0 (wait for ring_endpoint_fd()), -ENOENT,
 * -ECONNREFUSED or -EACCES when there is no broker to talk to, or -errno.
 * Try again later with a delay of the caller's.
 */
int ring_endpoint_connect(struct ring_endpoint *endpoint);

/* -1 while not connected. */
int ring_endpoint_fd(const struct ring_endpoint *endpoint);

/* NULL while not attached. */
struct ring_link *ring_endpoint_link(struct ring_endpoint *endpoint);

/*
 * The broker's counters, a descriptor that stays the endpoint's; -1: none.
 * Valid while attached.
 */
int ring_endpoint_stats_fd(const struct ring_endpoint *endpoint);

/*
 * Read and act on what the broker sent.  Returns 0, or -errno after which
 * the connection is closed and `lost` has been called.
 */
int ring_endpoint_process(struct ring_endpoint *endpoint);

/* Ask for the lane of a set.  Answered by lane_opened or lane_refused. */
int ring_endpoint_open_lane(struct ring_endpoint *endpoint, const char *set);

/*
 * Ask the broker to close lanes that have a set and were empty and unused for
 * `idle_ns`; call it about once a second with everything committed.
 * Needs the callbacks lane_closing and lane_closed.
 */
void ring_endpoint_close_idle(
    struct ring_endpoint *endpoint, uint64_t now_ns, uint64_t idle_ns);

/* Close the link because the broker's memory is poisoned; tells it why. */
void ring_endpoint_poison(struct ring_endpoint *endpoint, const char *reason);

/*
 * weirctl's half: one question, one answer, blocking up to timeout_ms.
 * Returns 0 and a NUL-terminated answer to be freed, -ENOENT or
 * -ECONNREFUSED without a broker, -ETIMEDOUT, or -errno.
 */
int ring_control_ask(const char *run_dir, const char *question, int timeout_ms,
    char **out_answer);

#endif
