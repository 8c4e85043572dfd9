/* SPDX-License-Identifier: Apache-2.0 */

/*
 * fdstore - descriptors that outlive the process, kept by the supervisor.
 *
 * systemd (FileDescriptorStoreMax=) and `weirctl run` speak the same
 * protocol: FDSTORE=1 over NOTIFY_SOCKET hands a descriptor over, the next
 * start inherits it by LISTEN_FDS and LISTEN_FDNAMES.  Main thread.
 */

#ifndef WEIR_COMMON_SERVICE_FDSTORE_H
#define WEIR_COMMON_SERVICE_FDSTORE_H

#include <stdbool.h>
#include <stddef.h>

/* systemd's limit on a name. */
#define FDSTORE_NAME_MAX 255

struct fdstore_entry {
	char name[FDSTORE_NAME_MAX + 1];
	int fd; /* -1 once taken */
};

struct fdstore {
	struct fdstore_entry *entries;
	size_t count;
};

/*
 * Read what was inherited, set close-on-exec and clear the variables so that
 * no child sees them.  Nothing inherited gives an empty store.
 * Returns 0, -EINVAL for variables that contradict each other, -ENOMEM.
 */
int fdstore_init(struct fdstore *store);

/* Close what was not taken. */
void fdstore_fini(struct fdstore *store);

/* The descriptor of that name, now the caller's, or -ENOENT. */
int fdstore_take(struct fdstore *store, const char *name);

/* Whether there is a supervisor to keep anything. */
bool fdstore_is_available(void);

/*
 * Have the supervisor keep `fd` under `name` (replaces nothing: remove
 * first).  The fd stays open here.  Returns 0; -ENOTCONN without a
 * supervisor; -EINVAL for a name with ':' or control bytes; -errno.
 */
int fdstore_keep(const char *name, int fd);

/* Have the supervisor close what it keeps under `name`. */
int fdstore_remove(const char *name);

#endif
