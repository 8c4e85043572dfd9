/* SPDX-License-Identifier: Apache-2.0 */

/*
 * hostile RUN_DIR httpd|bridge NAME SECONDS SEED - an endpoint that attacks
 * the broker it is attached to, with all that it was given.
 *
 * Each round is a process of its own: it attaches as an honest endpoint does,
 * draws an attack, and goes on with it until the broker has had enough or the
 * round is over.  What it may write is found in /proc/self/maps, so that
 * nothing is left out.  The seed gives the order of attacks.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/ring/ring_control.h"
#include "common/shm/fdpass.h"

#define ATTACH_MS 30000
#define ROUND_NS (200 * CLOCK_MS_NS)
#define STOP_NS (100 * CLOCK_MS_NS)
#define AREAS_MAX 80u
#define BURST 64u

struct area {
	uint8_t *begin;
	size_t length;
};

struct attacker {
	struct ring_endpoint *endpoint;
	struct ring_link *link; /* NULL: not attached */
	struct area areas[AREAS_MAX];
	unsigned area_count;
	int bell; /* eventfd; -1: none */
	uint64_t random;
	uint64_t position, sequence; /* of its own lane, if it plays honest */
};

static uint64_t
draw(struct attacker *a, uint64_t below)
{
	a->random ^= a->random << 13;
	a->random ^= a->random >> 7;
	a->random ^= a->random << 17;
	return a->random % below;
}

/* ---- attach as anybody does ----------------------------------------------
 */

static void
attached(void *context, struct ring_link *link)
{
	((struct attacker *)context)->link = link;
}

static void
lane_opened(void *context, enum ring_direction direction,
    const struct ring_lane_geometry *geometry)
{
	(void)context;
	(void)direction;
	(void)geometry;
}

static void
lane_refused(void *context, const char *set, const char *text)
{
	(void)context;
	(void)set;
	(void)text;
}

static void
filters_begin(void *context)
{
	(void)context;
}

static void
filter(void *context, const char *bridge, const char *text, size_t length)
{
	(void)context;
	(void)bridge;
	(void)text;
	(void)length;
}

static void
filters_end(void *context, uint64_t version)
{
	(void)context;
	(void)version;
}

static void
lost(void *context, const char *reason)
{
	if (reason != NULL)
		fprintf(stderr, "%s\n", reason);
	((struct attacker *)context)->link = NULL;
}

static const struct ring_endpoint_callbacks callbacks = {
	.attached = attached,
	.lane_opened = lane_opened,
	.lane_refused = lane_refused,
	.filters_begin = filters_begin,
	.filter = filter,
	.filters_end = filters_end,
	.lost = lost,
};

static bool
attach(struct attacker *a)
{
	struct pollfd control = { .events = POLLIN };

	if (ring_endpoint_connect(a->endpoint) != 0)
		return false;
	while (a->link == NULL) {
		control.fd = ring_endpoint_fd(a->endpoint);
		if (control.fd == -1 || poll(&control, 1, ATTACH_MS) != 1)
			return false;
		ring_endpoint_process(a->endpoint);
	}
	return true;
}

/* Lines "BEGIN-END rw-s ... /memfd:..." of /proc/self/maps. */
static void
find_areas(struct attacker *a)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	uintptr_t begin, end;
	char line[512];

	while (maps != NULL && a->area_count < AREAS_MAX &&
	    fgets(line, sizeof(line), maps) != NULL) {
		if (strstr(line, " rw-s ") == NULL ||
		    strstr(line, "/memfd:") == NULL ||
		    sscanf(line, "%" SCNxPTR "-%" SCNxPTR, &begin, &end) != 2)
			continue;
		a->areas[a->area_count++] =
		    (struct area){ (uint8_t *)begin, end - begin };
	}
	if (maps != NULL)
		fclose(maps);
}

static void
find_bell(struct attacker *a)
{
	char path[64], target[64];
	ssize_t length;

	a->bell = -1;
	for (int fd = 3; fd < 256; fd++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		length = readlink(path, target, sizeof(target) - 1);
		if (length <= 0)
			continue;
		target[length] = '\0';
		if (strstr(target, "eventfd") != NULL)
			a->bell = fd;
	}
}

static void
ring(struct attacker *a, uint64_t amount)
{
	ssize_t written = write(a->bell, &amount, sizeof(amount));

	(void)written;
}

/* The side that this process writes: the only area of that length. */
static uint8_t *
own_side(const struct attacker *a)
{
	for (unsigned i = 0; i < a->area_count; i++) {
		if (a->areas[i].length >= RING_SIDE_LENGTH &&
		    a->areas[i].length < RING_SIDE_LENGTH + RING_PAGE)
			return a->areas[i].begin;
	}
	return NULL;
}

/* ---- attacks -------------------------------------------------------------
 */

/* Anything anywhere. */
static void
scribble(struct attacker *a)
{
	for (unsigned i = 0; i < BURST && a->area_count != 0; i++) {
		const struct area *area = &a->areas[draw(a, a->area_count)];
		uint64_t value = a->random * UINT64_C(0x9e3779b97f4a7c15);

		memcpy(area->begin + draw(a, area->length / 8) * 8, &value,
		    sizeof(value));
	}
	ring(a, 1);
}

/* A word that says something, nearly right: a little more, less, a bit. */
static void
bend(struct attacker *a, void *place)
{
	uint64_t value;

	memcpy(&value, place, sizeof(value));
	switch (draw(a, 5)) {
	case 0:
		value += RING_ALIGN * draw(a, 64);
		break;
	case 1:
		value -= RING_ALIGN * draw(a, 64);
		break;
	case 2:
		value ^= UINT64_C(1) << draw(a, 64);
		break;
	case 3:
		value = draw(a, 64);
		break;
	default:
		value = UINT64_MAX - draw(a, 64);
		break;
	}
	memcpy(place, &value, sizeof(value));
}

static void
bend_fields(struct attacker *a)
{
	uint8_t *side = own_side(a);
	const size_t places[] = {
		offsetof(struct ring_side_header, arm),
		offsetof(struct ring_side_header, epoch),
		RING_SIDE_HEADS + draw(a, 3) * sizeof(struct ring_head),
		RING_SIDE_PRODUCERS + draw(a, 128) * 8,
		RING_SIDE_CONSUMERS + draw(a, 64) * 8,
		RING_SIDE_CONSUMERS +
		    offsetof(struct ring_lane_consumer, limit),
		RING_SIDE_CONSUMERS,
		RING_SIDE_NOTES + draw(a, 512) * 8,
		RING_SIDE_TRACE + draw(a, 512) * 8,
		RING_SIDE_BOARD + draw(a, 256) * 8,
	};

	if (side == NULL)
		return;
	bend(a, side + places[draw(a, sizeof(places) / sizeof(places[0]))]);
	ring(a, 1);
}

/* Records of its own lane 0 that are valid but for what is drawn. */
static void
write_record(struct attacker *a, uint8_t *lane, uint64_t size, unsigned kind)
{
	struct ring_record record = {
		.type = kind == 0 ? RING_DATA
		    : kind == 1   ? RING_PAD
				  : RING_SWITCH,
		.kind = (uint8_t)draw(a, 12),
		.sequence = kind == 0 ? ++a->sequence : 0,
		.length = kind == 2 ? 0 : (uint32_t)draw(a, 700),
		.class = (uint32_t)draw(a, 5),
		.flags = (uint32_t)draw(a, 2),
	};
	const uint64_t offset = a->position & (size - 1);

	if (ring_record_size(record.length) > size - offset)
		record.length = 0;
	memcpy(lane + RING_PAGE + offset, &record, sizeof(record));
	a->position += ring_record_size(record.length);
}

/* Floods of data, pads or switches, committed as fast as it goes. */
static void
flood(struct attacker *a)
{
	const struct ring_lane_geometry *geometry =
	    ring_link_producer_lane(a->link, 0);
	uint8_t *side = own_side(a), *lane = NULL;
	const unsigned kind = (unsigned)draw(a, 3);
	uint64_t word;

	if (geometry == NULL || side == NULL)
		return;
	for (unsigned i = 0; i < a->area_count; i++) {
		if (a->areas[i].begin != side)
			lane = a->areas[i].begin;
	}
	if (lane == NULL)
		return;
	for (unsigned i = 0; i < BURST; i++)
		write_record(
		    a, lane, ring_class_size(geometry->min_shift, 0), kind);
	word = RING_WORD(a->position, 0);
	memcpy(side + RING_SIDE_HEADS, &word, sizeof(word));
	ring(a, 1);
}

/* Wake it as often as it goes, and have it wake us. */
static void
storm(struct attacker *a)
{
	uint8_t *side = own_side(a);

	for (unsigned i = 0; i < BURST; i++) {
		if (side != NULL)
			bend(a, side + offsetof(struct ring_side_header, arm));
		ring(a, 1);
	}
}

static void
set_blocking(int fd, bool blocks)
{
	const int flags = fcntl(fd, F_GETFL);

	fcntl(fd, F_SETFL, blocks ? flags & ~O_NONBLOCK : flags | O_NONBLOCK);
}

/*
 * O_NONBLOCK lives in the description that the broker holds too: it must not
 * block on a bell that is full.  We would, so we fill it before.
 */
static void
abuse_bell(struct attacker *a)
{
	set_blocking(a->bell, false);
	ring(a, UINT64_MAX - 1);
	bend_fields(a);
	scribble(a);
	set_blocking(a->bell, true);
	set_blocking(ring_link_bell_fd(a->link), true);
	usleep(1000);
}

static int
forged_fd(struct attacker *a)
{
	int fd;

	switch (draw(a, 4)) {
	case 0:
		return open("/dev/zero", O_RDWR | O_CLOEXEC);
	case 1:
		return open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	case 2:
		return dup(a->bell);
	default:
		fd = memfd_create("forged", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		if (fd != -1 && ftruncate(fd, RING_SIDE_LENGTH) == -1)
			return fd;
		return fd;
	}
}

/* Messages that are none, or of the wrong kind, with any descriptors. */
static void
talk_junk(struct attacker *a)
{
	const int sock = ring_endpoint_fd(a->endpoint);
	union {
		struct ring_control_header header;
		uint8_t bytes[1024];
	} message;
	int fds[4];
	unsigned count = (unsigned)draw(a, 5);
	size_t length = sizeof(message.header) + draw(a, 900);

	for (size_t i = 0; i < sizeof(message.bytes); i++)
		message.bytes[i] = (uint8_t)draw(a, 256);
	if (draw(a, 4) != 0)
		message.header = (struct ring_control_header){
			.magic = RING_CONTROL_MAGIC,
			.type = (uint32_t)draw(a, 20),
		};
	for (unsigned i = 0; i < count; i++)
		fds[i] = forged_fd(a);
	(void)fdpass_send(sock, &message, length, fds, count);
	for (unsigned i = 0; i < count; i++)
		close(fds[i]);
}

/* The parent lets it go on. */
static void
stand_still(struct attacker *a)
{
	ring(a, 1);
	raise(SIGSTOP);
	scribble(a);
}

static void
ask_for_lanes(struct attacker *a)
{
	char set[RING_NAME_MAX];

	snprintf(set, sizeof(set), "%s%c", draw(a, 2) == 0 ? "cloud" : "cloud+",
	    (int)('a' + draw(a, 26)));
	(void)ring_endpoint_open_lane(a->endpoint, set);
	bend_fields(a);
}

static const struct {
	const char *name;
	void (*act)(struct attacker *a);
} attacks[] = {
	{ "scribble", scribble },
	{ "bend fields", bend_fields },
	{ "flood", flood },
	{ "storm", storm },
	{ "abuse the bells", abuse_bell },
	{ "junk", talk_junk },
	{ "stand still", stand_still },
	{ "lanes", ask_for_lanes },
};

#define ATTACKS (sizeof(attacks) / sizeof(attacks[0]))

/* ---- rounds --------------------------------------------------------------
 */

static int
attack(struct attacker *a, unsigned which)
{
	const uint64_t end_ns = clock_now_ns() + ROUND_NS;

	if (!attach(a))
		return 1;
	find_areas(a);
	find_bell(a);
	while (clock_now_ns() < end_ns) {
		attacks[which].act(a);
		if (draw(a, 16) == 0)
			usleep(200);
	}
	return 0;
}

/* Wait for the round; one that stands still is told to go on. */
static int
wait_for(pid_t pid)
{
	const struct timespec moment = { .tv_nsec = (long)STOP_NS };
	int status;

	while (waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status)) {
		nanosleep(&moment, NULL);
		kill(pid, SIGCONT);
	}
	return status;
}

static pid_t
start_round(char **argv, uint64_t seed, unsigned which)
{
	struct attacker attacker = { .random = seed };
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	attacker.endpoint = ring_endpoint_new(argv[1],
	    strcmp(argv[2], "httpd") == 0 ? RING_ROLE_HTTPD : RING_ROLE_BRIDGE,
	    argv[3], &callbacks, &attacker);
	alarm(60);
	_exit(attacker.endpoint == NULL ? 1 : attack(&attacker, which));
}

int
main(int argc, char **argv)
{
	uint64_t counts[ATTACKS] = { 0 }, refused = 0, seed, end_ns;
	unsigned which;
	int status;
	pid_t pid;

	if (argc != 6) {
		fprintf(stderr,
		    "usage: hostile RUN_DIR httpd|bridge NAME "
		    "SECONDS SEED\n");
		return 64;
	}
	signal(SIGPIPE, SIG_IGN);
	seed = strtoull(argv[5], NULL, 10) | 1;
	end_ns = clock_now_ns() + strtoull(argv[4], NULL, 10) * CLOCK_SECOND_NS;
	for (uint64_t round = 0; clock_now_ns() < end_ns; round++) {
		seed = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
		which = round % ATTACKS;
		pid = start_round(argv, seed, which);
		if (pid == -1)
			return 1;
		status = wait_for(pid);
		if (WIFEXITED(status) && WEXITSTATUS(status) == 1) {
			refused++;
			usleep(50000);
		} else
			counts[which]++;
	}
	for (unsigned i = 0; i < ATTACKS; i++)
		printf("%s: %" PRIu64 "\n", attacks[i].name, counts[i]);
	printf("not let in: %" PRIu64 "\n", refused);
	return 0;
}
