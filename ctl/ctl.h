/* SPDX-License-Identifier: Apache-2.0 */

/*
 * ctl - what the verbs of weirctl share.
 *
 * A verb is a function in a file of its own, cmd_VERB.c, with one row in the
 * table of main.c.  It gets its own command line (argv[0] is the verb) and
 * returns an exit code (common/base/exit.h).
 */

#ifndef WEIR_CTL_CTL_H
#define WEIR_CTL_CTL_H

#include "common/base/options.h"
#include "common/conf/conf.h"

struct ctl {
	const char *conf_path; /* from -c before the verb; NULL: not given */
};

struct ctl_verb {
	const char *name;
	const char *summary; /* one line, small first letter */
	int (*run)(const struct ctl *ctl, int argc, char **argv);
	const struct options *options; /* for help, manual and completion */
};

/* All verbs, ended by a row without a name. */
extern const struct ctl_verb ctl_verbs[];

/*
 * The configuration: `path` (from -c after the verb), else ctl->conf_path,
 * else the default file.
 * Returns EXIT_OK; EXIT_CONFIG after its mistakes were written to stderr.
 * If none was named and the default does not exist, *out_conf is NULL.
 */
int ctl_load(const struct ctl *ctl, const char *path, struct conf **out_conf);

/* As above, but without a file it is an error. */
int ctl_need(const struct ctl *ctl, const char *path, struct conf **out_conf);

extern const struct options cmd_rings_options;
extern const struct options cmd_top_options;
extern const struct options cmd_why_options;
extern const struct options cmd_dump_options;
extern const struct options cmd_replay_options;
extern const struct options cmd_trace_options;
extern const struct options cmd_status_options;
extern const struct options cmd_clients_options;
extern const struct options cmd_subscriptions_options;
extern const struct options cmd_topics_options;
extern const struct options cmd_kick_options;
extern const struct options cmd_bridges_options;
extern const struct options cmd_dead_options;
extern const struct options cmd_bridge_options;
extern const struct options cmd_reload_options;
extern const struct options cmd_convert_options;
extern const struct options cmd_passwd_options;
extern const struct options cmd_doctor_options;
extern const struct options cmd_store_options;
extern const struct options cmd_run_options;
extern const struct options cmd_pub_options;
extern const struct options cmd_sub_options;

int cmd_rings(const struct ctl *ctl, int argc, char **argv);
int cmd_top(const struct ctl *ctl, int argc, char **argv);
int cmd_why(const struct ctl *ctl, int argc, char **argv);
int cmd_dump(const struct ctl *ctl, int argc, char **argv);
int cmd_replay(const struct ctl *ctl, int argc, char **argv);
int cmd_trace(const struct ctl *ctl, int argc, char **argv);
int cmd_status(const struct ctl *ctl, int argc, char **argv);
int cmd_clients(const struct ctl *ctl, int argc, char **argv);
int cmd_subscriptions(const struct ctl *ctl, int argc, char **argv);
int cmd_topics(const struct ctl *ctl, int argc, char **argv);
int cmd_kick(const struct ctl *ctl, int argc, char **argv);
int cmd_dead(const struct ctl *ctl, int argc, char **argv);
int cmd_bridges(const struct ctl *ctl, int argc, char **argv);
int cmd_bridge(const struct ctl *ctl, int argc, char **argv);
int cmd_reload(const struct ctl *ctl, int argc, char **argv);
int cmd_convert(const struct ctl *ctl, int argc, char **argv);
int cmd_passwd(const struct ctl *ctl, int argc, char **argv);
int cmd_doctor(const struct ctl *ctl, int argc, char **argv);
int cmd_store(const struct ctl *ctl, int argc, char **argv);
int cmd_run(const struct ctl *ctl, int argc, char **argv);
int cmd_pub(const struct ctl *ctl, int argc, char **argv);
int cmd_sub(const struct ctl *ctl, int argc, char **argv);

#endif
