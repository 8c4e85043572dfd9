/* SPDX-License-Identifier: Apache-2.0 */

/*
 * fdpass - messages with descriptors over an AF_UNIX SOCK_SEQPACKET socket.
 *
 * One send is one message.  The receiver gets the payload and at most
 * FDPASS_MAX descriptors, all close-on-exec; descriptors beyond what the
 * caller asked for are closed, never leaked.  No call blocks.
 */

#ifndef WEIR_COMMON_SHM_FDPASS_H
#define WEIR_COMMON_SHM_FDPASS_H

#include <stddef.h>
#include <sys/types.h>

#define FDPASS_MAX 8

/*
 * Send one message.  The descriptors stay the caller's.
 * Returns 0, or -errno (-EAGAIN: the peer does not read; nothing was sent).
 */
int fdpass_send(int sock, const void *message, size_t length, const int *fds,
    unsigned count);

/*
 * Receive one message of at most `capacity` bytes and `max` descriptors.
 * The descriptors become the caller's.  Returns the message's length, 0 at
 * the end of the stream, or -errno (-EMSGSIZE: longer than `capacity`, or
 * more descriptors than `max`; the message is consumed and its descriptors
 * are closed).  What a peer sent before it closed comes before its end, also
 * when it had not read all.
 */
ssize_t fdpass_recv(int sock, void *message, size_t capacity, int *out_fds,
    unsigned max, unsigned *out_count);

#endif
