/* SPDX-License-Identifier: Apache-2.0 */

#include "common/net/unix_socket.h"

#include <errno.h>
#include <grp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* One unix_socket_open(): where its complaint goes. */
struct opening {
	const struct unix_socket_spec *spec;
	struct sockaddr_un address;
	int fd;
	bool is_bound;
	char *error;
	size_t error_size;
};

static int __attribute__((format(printf, 3, 4)))
complain(struct opening *o, int err, const char *format, ...)
{
	char reason[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(reason, sizeof(reason), format, arguments);
	va_end(arguments);
	snprintf(o->error, o->error_size,
	    "address=" PARSE_UNIX_PREFIX "%s reason=\"%s\"", o->spec->path,
	    reason);
	return err;
}

/* As complain(), of what the system says: "what: reason". */
static int
system_fails(struct opening *o, const char *what)
{
	const int err = errno;

	return complain(o, -err, "%s: %s", what, strerror(err));
}

static int
make_socket(int type)
{
	int fd;

	fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	return fd == -1 ? -errno : fd;
}

pid_t
unix_socket_served_by(const struct sockaddr_un *address, int type)
{
	struct ucred peer = { 0 };
	socklen_t length = sizeof(peer);
	pid_t pid = 0;
	int fd;

	fd = make_socket(type);
	if (fd < 0)
		return fd;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) ==
	    0) {
		getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length);
		pid = peer.pid > 0 ? peer.pid : 1;
	} else if (errno == EAGAIN) {
		pid = 1; /* so busy that its backlog is full */
	} else if (errno != ECONNREFUSED && errno != ENOENT) {
		pid = -errno;
	}
	close(fd);
	return pid;
}

static int
clear_the_place(struct opening *o)
{
	struct stat st;
	pid_t pid;

	if (lstat(o->spec->path, &st) == -1)
		return errno == ENOENT ? 0 : system_fails(o, "its file");
	if (!S_ISSOCK(st.st_mode))
		return complain(o, -EEXIST,
		    "there is a file of this name that is no socket");
	pid = unix_socket_served_by(&o->address, SOCK_STREAM);
	if (pid < 0)
		return complain(
		    o, (int)pid, "%s: who serves it?", strerror((int)-pid));
	if (pid > 0) {
		snprintf(o->error, o->error_size,
		    "socket_in_use address=" PARSE_UNIX_PREFIX
		    "%s held_by=\"pid %d\"",
		    o->spec->path, (int)pid);
		return -EADDRINUSE;
	}
	if (unlink(o->spec->path) == -1 && errno != ENOENT)
		return system_fails(
		    o, "a dead process left it, and it cannot be removed");
	return 0;
}

static int
find_group(struct opening *o, gid_t *out_gid)
{
	const struct group *group;

	*out_gid = (gid_t)-1;
	if (o->spec->group == NULL)
		return 0;
	errno = 0;
	group = getgrnam(o->spec->group);
	if (group == NULL)
		return complain(
		    o, -ENOENT, "there is no group %s", o->spec->group);
	*out_gid = group->gr_gid;
	return 0;
}

static int
bind_there(struct opening *o)
{
	const struct sockaddr *address = (const struct sockaddr *)&o->address;
	gid_t gid;
	int err;

	err = find_group(o, &gid);
	if (err != 0)
		return err;
	/* The file begins with the mode of the socket: for nobody else. */
	if (fchmod(o->fd, 0600) == -1 ||
	    bind(o->fd, address, sizeof(o->address)) == -1)
		return system_fails(o, "its folder must exist and be writable");
	o->is_bound = true;
	if (gid != (gid_t)-1 && lchown(o->spec->path, (uid_t)-1, gid) == -1)
		return system_fails(
		    o, "group: our user must be in it, or be root");
	if (chmod(o->spec->path, o->spec->mode) == -1 ||
	    listen(o->fd, o->spec->backlog) == -1)
		return system_fails(o, "its file");
	return 0;
}

static int
open_there(struct opening *o, struct unix_socket_place *out_place)
{
	int err;

	err = clear_the_place(o);
	if (err != 0)
		return err;
	o->fd = make_socket(SOCK_STREAM);
	if (o->fd < 0)
		return complain(o, o->fd, "%s", strerror(-o->fd));
	err = bind_there(o);
	if (err != 0)
		return err;
	err = unix_socket_find(o->spec->path, out_place);
	return err == 0 ? 0 : complain(o, err, "its file: %s", strerror(-err));
}

int
unix_socket_open(const struct unix_socket_spec *spec,
    struct unix_socket_place *out_place, int *out_fd, char *error,
    size_t error_size)
{
	struct opening o = {
		.spec = spec,
		.address.sun_family = AF_UNIX,
		.fd = -1,
		.error = error,
		.error_size = error_size,
	};
	int err;

	if (spec->path[0] != '/' || strlen(spec->path) >= PARSE_UNIX_PATH_SIZE)
		return complain(&o, -EINVAL,
		    "the path must begin with / and be shorter than %d bytes",
		    PARSE_UNIX_PATH_SIZE);
	strcpy(o.address.sun_path, spec->path);
	err = open_there(&o, out_place);
	if (err == 0) {
		*out_fd = o.fd;
		return 0;
	}
	if (o.is_bound)
		unlink(spec->path);
	if (o.fd >= 0)
		close(o.fd);
	return err;
}

int
unix_socket_find(const char *path, struct unix_socket_place *out_place)
{
	struct stat st;

	if (lstat(path, &st) == -1)
		return -errno;
	out_place->dev = st.st_dev;
	out_place->ino = st.st_ino;
	strcpy(out_place->path, path);
	return 0;
}

void
unix_socket_remove(const struct unix_socket_place *place)
{
	struct stat st;

	if (place->path[0] != '\0' && lstat(place->path, &st) == 0 &&
	    st.st_dev == place->dev && st.st_ino == place->ino)
		unlink(place->path);
}
