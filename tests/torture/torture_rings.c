/* SPDX-License-Identifier: Apache-2.0 */

/*
 * torture_rings - three processes over real rings, killed where it hurts.
 *
 *	torture_rings steps [MESSAGES [all|ROLE [FROM [STRIDE]]]]
 *		each role dies at step 1, 2, 3 ... of its first life, each
 *		time in a new world, until it lives to the end
 *	torture_rings random KILLS [SEED]
 *		all roles die at random, many times a world: at a random step,
 *		or from outside at a random time
 *
 * After each death the role is started again, and in the end every message
 * must have arrived, in order and whole, and every process have come to rest.
 * Nothing here polls: who is not woken by a bell is stuck, and that is what
 * the one time limit is for.  TAP on stdout.
 */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/torture/roles.h"

/* Longer than any of them needs to move, on the slowest machine. */
#define STUCK_MS 60000

#define STEPS_MESSAGES 128u
#define RANDOM_MESSAGES 320u

/* In one world; then the role lives, or it would never get on. */
#define DEATHS_MAX 40u

/* Steps that are not reached, in a row, before all are taken to be seen. */
#define UNREACHED_MAX 8u

/* How one world is to go. */
struct plan {
	uint64_t messages;
	bool holds;
	uint64_t random;     /* state; 0: nothing by chance */
	uint64_t first_step; /* of `victim`'s first life */
	enum world_role victim;
	unsigned deaths_left[WORLD_ROLES]; /* by chance */
	bool kills_from_outside;
};

struct totals {
	uint64_t worlds, deaths[WORLD_ROLES], from_outside;
	uint64_t grows, shrinks, again;
	uint64_t steps[WORLD_ROLES][STEPS_KINDS];
};

struct run {
	struct plan plan;
	struct world world;
	struct totals *totals;
	pid_t pid[WORLD_ROLES];
	unsigned lives[WORLD_ROLES];
	bool has_died[WORLD_ROLES];
	int signal_fd;
	const char *failure; /* NULL: none */
};

static uint64_t
draw(struct plan *plan)
{
	plan->random ^= plan->random << 13;
	plan->random ^= plan->random >> 7;
	plan->random ^= plan->random << 17;
	return plan->random;
}

/* ---- lives ---------------------------------------------------------------
 */

/* Where the next life of the role ends; 0: nowhere. */
static uint64_t
fatal_step(struct run *run, enum world_role role)
{
	static const unsigned spans[] = { 40, 200, 1000, 5000 };
	struct plan *plan = &run->plan;

	if (plan->random == 0)
		return role == plan->victim && run->lives[role] == 0
		    ? plan->first_step
		    : 0;
	if (plan->deaths_left[role] == 0)
		return 0;
	plan->deaths_left[role]--;
	return 1 + draw(plan) % spans[draw(plan) % 4];
}

static void
start(struct run *run, enum world_role role)
{
	const uint64_t step = fatal_step(run, role);
	sigset_t none;
	pid_t pid;

	run->lives[role]++;
	run->world.ledger->is_done[role] = false;
	pid = fork();
	if (pid == -1) {
		run->failure = strerror(errno);
		return;
	}
	if (pid != 0) {
		run->pid[role] = pid;
		return;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	steps_die_at(step);
	roles_live(&run->world, role);
}

static bool
is_quiet(const struct run *run)
{
	for (unsigned i = 0; i < WORLD_ROLES; i++) {
		if (!run->world.ledger->is_done[i])
			return false;
	}
	return true;
}

static void
has_ended(struct run *run, enum world_role role, int status, bool is_over)
{
	run->pid[role] = 0;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
		run->has_died[role] = true;
		run->totals->deaths[role]++;
		if (!is_over)
			start(run, role);
		return;
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && is_over)
		return;
	run->failure = run->world.ledger->has_fault
	    ? run->world.ledger->fault
	    : "a process ended by itself";
}

static void
reap(struct run *run, bool is_over)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (unsigned i = 0; i < WORLD_ROLES; i++) {
			if (run->pid[i] == pid)
				has_ended(
				    run, (enum world_role)i, status, is_over);
		}
	}
}

static void
kill_one(struct run *run)
{
	const unsigned role = draw(&run->plan) % WORLD_ROLES;

	if (run->plan.deaths_left[role] == 0 || run->pid[role] == 0)
		return;
	run->plan.deaths_left[role]--;
	run->totals->from_outside++;
	kill(run->pid[role], SIGKILL);
}

static void
sleep_a_moment(struct plan *plan)
{
	const struct timespec moment = {
		.tv_nsec = (long)(draw(plan) % 2000000),
	};

	nanosleep(&moment, NULL);
}

static void
empty(int fd)
{
	char waste[512];

	while (read(fd, waste, sizeof(waste)) > 0)
		continue;
}

/* Wait for a death or a notice.  Returns false when nothing comes. */
static bool
wait_for_news(struct run *run)
{
	struct pollfd fds[] = {
		{ .fd = run->signal_fd, .events = POLLIN },
		{ .fd = run->world.notice_fd, .events = POLLIN },
	};

	if (poll(fds, 2, STUCK_MS) == 0)
		return false;
	empty(run->signal_fd);
	empty(run->world.notice_fd);
	return true;
}

static bool
may_kill_more(const struct run *run)
{
	for (unsigned i = 0; i < WORLD_ROLES; i++) {
		if (run->plan.deaths_left[i] != 0)
			return true;
	}
	return false;
}

static void
until_quiet(struct run *run)
{
	while (run->failure == NULL && !is_quiet(run)) {
		if (run->plan.kills_from_outside && may_kill_more(run)) {
			sleep_a_moment(&run->plan);
			kill_one(run);
		} else if (!wait_for_news(run))
			run->failure = "stuck: nobody was woken";
		reap(run, false);
	}
}

static bool
is_anyone_left(const struct run *run)
{
	return run->pid[0] != 0 || run->pid[1] != 0 || run->pid[2] != 0;
}

static void
end_all(struct run *run)
{
	const uint64_t one = 1;

	if (run->failure == NULL &&
	    write(run->world.quit_fd, &one, sizeof(one)) != sizeof(one))
		run->failure = "cannot tell them to end";
	reap(run, true);
	while (run->failure == NULL && is_anyone_left(run)) {
		if (!wait_for_news(run))
			run->failure = "stuck: does not end";
		reap(run, true);
	}
	for (unsigned i = 0; i < WORLD_ROLES; i++) {
		if (run->pid[i] != 0) {
			kill(run->pid[i], SIGKILL);
			waitpid(run->pid[i], NULL, 0);
		}
	}
}

/* ---- what must be true at the end ----------------------------------------
 */

static void
judge(struct run *run)
{
	const struct world_ledger *ledger = run->world.ledger;
	uint64_t again = 0, all = run->plan.messages * WORLD_LANES;

	for (unsigned i = 0; i < WORLD_LANES; i++) {
		if (ledger->lane[i].accepted != run->plan.messages ||
		    ledger->lane[i].arrived != run->plan.messages)
			run->failure = "not all has arrived";
		again += ledger->lane[i].again;
	}
	run->totals->again += again;
	if (ledger->ring_records != all)
		run->failure = "a message was forwarded twice";
	if (!run->has_died[WORLD_BRIDGED] && again != 0)
		run->failure = "a message arrived twice";
}

static void
add_up(struct run *run)
{
	uint64_t grows, shrinks;

	run->totals->worlds++;
	world_count_changes(&run->world, &grows, &shrinks);
	run->totals->grows += grows;
	run->totals->shrinks += shrinks;
	for (unsigned i = 0; i < WORLD_ROLES; i++) {
		for (unsigned kind = 0; kind < STEPS_KINDS; kind++)
			run->totals->steps[i][kind] +=
			    run->world.ledger->steps[i][kind];
	}
}

/* One world from begin to end.  Returns false with the reason printed. */
static bool
play(const struct plan *plan, struct totals *totals, bool *out_has_died)
{
	struct run run = { .plan = *plan, .totals = totals };
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	run.signal_fd = signalfd(-1, &child, SFD_NONBLOCK | SFD_CLOEXEC);
	world_open(&run.world, plan->messages, plan->holds);
	for (unsigned i = 0; i < WORLD_ROLES; i++)
		start(&run, (enum world_role)i);
	until_quiet(&run);
	end_all(&run);
	if (run.failure == NULL)
		judge(&run);
	if (run.failure != NULL) {
		printf("# %s\n", run.failure);
		world_describe(&run.world);
	}
	add_up(&run);
	*out_has_died = run.has_died[plan->victim];
	world_close(&run.world);
	close(run.signal_fd);
	return run.failure == NULL;
}

/* ---- modes ---------------------------------------------------------------
 */

static unsigned tests, failures;

static void
result(bool is_ok, const char *what, uint64_t number)
{
	tests++;
	failures += !is_ok;
	printf("%s %u - %s (%ju)\n", is_ok ? "ok" : "not ok", tests, what,
	    (uintmax_t)number);
	fflush(stdout);
}

static void
print_totals(const struct totals *totals)
{
	printf("# %ju worlds; deaths: %ju httpd, %ju broker, %ju bridged, "
	       "%ju of them from outside\n",
	    (uintmax_t)totals->worlds, (uintmax_t)totals->deaths[0],
	    (uintmax_t)totals->deaths[1], (uintmax_t)totals->deaths[2],
	    (uintmax_t)totals->from_outside);
	printf("# rings grew %ju times and shrank %ju times; %ju messages "
	       "came again to the remote\n",
	    (uintmax_t)totals->grows, (uintmax_t)totals->shrinks,
	    (uintmax_t)totals->again);
}

/* A kind that is never counted is one that nobody dies at. */
static void
print_steps(const struct totals *totals)
{
	uint64_t all[STEPS_KINDS] = { 0 };
	bool is_each_seen = true;

	for (unsigned role = 0; role < WORLD_ROLES; role++) {
		printf("# steps of the lives that %s ended itself:",
		    world_role_names[role]);
		for (unsigned kind = 0; kind < STEPS_KINDS; kind++) {
			printf(" %ju %s%s",
			    (uintmax_t)totals->steps[role][kind],
			    steps_kind_names[kind],
			    kind + 1 < STEPS_KINDS ? "," : "\n");
			all[kind] += totals->steps[role][kind];
		}
	}
	for (unsigned kind = 0; kind < STEPS_KINDS; kind++)
		is_each_seen &= all[kind] != 0;
	result(is_each_seen, "steps of every kind were counted", STEPS_KINDS);
}

/* Both with consumers that hold and with consumers that do not. */
static bool
die_at(struct plan *plan, struct totals *totals, bool *out_has_died)
{
	bool has_died, is_ok = true;

	*out_has_died = false;
	for (unsigned i = 0; i < 2 && is_ok; i++) {
		plan->holds = i == 0;
		is_ok = play(plan, totals, &has_died);
		*out_has_died |= has_died;
	}
	if (!is_ok)
		printf("# again: torture_rings steps %ju %s %ju\n",
		    (uintmax_t)plan->messages, world_role_names[plan->victim],
		    (uintmax_t)plan->first_step);
	return is_ok;
}

static void
die_at_each_step(
    uint64_t messages, enum world_role role, uint64_t from, uint64_t stride)
{
	struct plan plan = { .messages = messages, .victim = role };
	struct totals totals = { 0 };
	unsigned unreached = 0;
	bool is_ok = true, has_died;
	uint64_t last = 0;

	for (uint64_t k = from; is_ok && unreached < UNREACHED_MAX;
	     k += stride) {
		plan.first_step = k;
		is_ok = die_at(&plan, &totals, &has_died);
		unreached = has_died ? 0 : unreached + 1;
		last = has_died ? k : last;
		if (k / stride % 1000 == 0)
			fprintf(stderr, "%s: step %ju\n",
			    world_role_names[role], (uintmax_t)k);
	}
	print_totals(&totals);
	printf("# %s: stride %ju, last step %ju\n", world_role_names[role],
	    (uintmax_t)stride, (uintmax_t)last);
	result(is_ok && last >= from, world_role_names[role], last);
	result(totals.grows > 0 && totals.shrinks > 0,
	    "rings grew and shrank meanwhile", totals.grows);
	print_steps(&totals);
}

static uint64_t
all_deaths(const struct totals *totals)
{
	return totals->deaths[0] + totals->deaths[1] + totals->deaths[2];
}

static struct plan
random_plan(uint64_t seed)
{
	struct plan plan = {
		.messages = RANDOM_MESSAGES,
		.random = seed * UINT64_C(0x9e3779b97f4a7c15) | 1,
	};

	for (unsigned i = 0; i < WORLD_ROLES; i++)
		plan.deaths_left[i] =
		    draw(&plan) % 3 == 0 ? 0 : draw(&plan) % DEATHS_MAX;
	plan.kills_from_outside = draw(&plan) % 2 == 0;
	plan.holds = draw(&plan) % 2 == 0;
	return plan;
}

static void
die_at_random(uint64_t kills, uint64_t seed)
{
	struct totals totals = { 0 };
	bool is_ok = true, has_died;
	uint64_t told = 0;
	struct plan plan;

	printf("# seed %ju\n", (uintmax_t)seed);
	for (; is_ok && all_deaths(&totals) < kills; seed++) {
		plan = random_plan(seed);
		is_ok = play(&plan, &totals, &has_died);
		if (!is_ok)
			printf("# again: torture_rings random 1 %ju\n",
			    (uintmax_t)seed);
		if (all_deaths(&totals) / 1000 != told) {
			told = all_deaths(&totals) / 1000;
			fprintf(stderr, "%ju kills\n",
			    (uintmax_t)all_deaths(&totals));
		}
	}
	print_totals(&totals);
	result(is_ok, "nothing is lost, corrupt or stuck after random kills",
	    all_deaths(&totals));
	result(totals.grows > 0 && totals.shrinks > 0,
	    "rings grew and shrank meanwhile", totals.grows);
}

static uint64_t
number(int argc, char **argv, int i, uint64_t otherwise)
{
	return i < argc ? strtoull(argv[i], NULL, 10) : otherwise;
}

static bool
run_steps(int argc, char **argv)
{
	bool is_known = false;

	for (unsigned i = 0; i < WORLD_ROLES; i++) {
		if (argc > 3 && strcmp(argv[3], "all") != 0 &&
		    strcmp(argv[3], world_role_names[i]) != 0)
			continue;
		is_known = true;
		die_at_each_step(number(argc, argv, 2, STEPS_MESSAGES),
		    (enum world_role)i, number(argc, argv, 4, 1),
		    number(argc, argv, 5, 1));
	}
	return is_known;
}

int
main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	bool is_known = true;

	if (strcmp(mode, "steps") == 0)
		is_known = run_steps(argc, argv);
	else if (strcmp(mode, "random") == 0)
		die_at_random(number(argc, argv, 2, 1000),
		    number(argc, argv, 3, (uint64_t)time(NULL)));
	else
		is_known = false;
	if (!is_known) {
		fprintf(stderr,
		    "usage: torture_rings steps [MESSAGES [all|ROLE [FROM "
		    "[STRIDE]]]]\n"
		    "       torture_rings random KILLS [SEED]\n");
		return 64;
	}
	printf("1..%u\n", tests);
	return failures != 0;
}
