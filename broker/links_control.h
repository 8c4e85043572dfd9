/* SPDX-License-Identifier: Apache-2.0 */

/*
 * links_control - the control socket: who may speak, and what is said.
 *
 * The words are those of common/ring/ring_control.h.  SO_PEERCRED tells whose
 * process a connection is: an endpoint runs as the broker's own user, as
 * root, or as the static user of its program (weir-httpd, weir-bridged);
 * weirctl may be any of these.
 *
 *	  ACCEPTED --HELLO--> ENDPOINT (until its end)
 *	      \-----HELLO---> CONTROL (asks, is answered)
 */

#ifndef WEIR_BROKER_LINKS_CONTROL_H
#define WEIR_BROKER_LINKS_CONTROL_H

#include <stdbool.h>

struct links;
struct links_connection;
struct links_control;

/*
 * Take the socket from systemd (descriptor name "ctl") or bind it in
 * run_dir.  Errors are logged.  NULL with errno (EADDRINUSE: another broker
 * lives there).
 */
struct links_control *links_control_new(struct links *links);

/* A broker was killed on this run_dir: its programs may be alive. */
bool links_control_was_stale(const struct links_control *control);

/* Begin to accept.  Returns 0 or -errno. */
int links_control_start(struct links_control *control);

/* Close all connections; remove the socket if this broker bound it. */
void links_control_free(struct links_control *control);

/* Tell the endpoint that its link is closed and why; then close it. */
void links_control_say_poisoned(
    struct links_connection *connection, const char *why);

/* `why` is for the log. */
void links_control_close(struct links_connection *connection, const char *why);

/* Each program that is attached gets the bridges' filters, as they are now. */
void links_control_send_filters(struct links_control *control);

#endif
