/* SPDX-License-Identifier: Apache-2.0 */

/* cmd_store - what the words behind `weirctl store` share. */

#ifndef WEIR_CTL_CMD_STORE_H
#define WEIR_CTL_CMD_STORE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/conf/conf.h"
#include "ctl/journal_view.h"

/* One call of it. */
struct store_call {
	const char *dir;     /* of the journal */
	const char *run_dir; /* NULL: a folder was named, no broker has it */
	struct conf_journal journal;
	const char *operand; /* NULL: none was given */
	bool json;
	bool queued; /* list only those for whom something waits */
	bool yes;
};

/* Each returns an exit code. */
int store_stat_run(const struct store_call *call);
int store_check_run(const struct store_call *call);
int store_list_run(const struct store_call *call);
int store_export_run(const struct store_call *call);
int store_import_run(const struct store_call *call);
int store_backup_run(const struct store_call *call);
int store_compact_run(const struct store_call *call);
int store_drop_run(const struct store_call *call);

enum store_access {
	STORE_LOOK,  /* also beside a running broker */
	STORE_WRITE, /* no broker may run */
	STORE_MAKE   /* likewise; the folder is made if there is none */
};

/*
 * Open the journal and complain on stderr if that cannot be.  EXIT_OK,
 * EXIT_UNAVAILABLE (there is none, or a broker has it), or EXIT_OSERR; the
 * view is to be closed in any case.
 */
int store_call_open(const struct store_call *call, enum store_access access,
    struct journal_view *out_view);

/*
 * What the broker says of its journal, to be freed; NULL: none runs, or a
 * folder was named.
 */
json_t *store_call_ask(const struct store_call *call);

/* Print and free; EXIT_OK or EXIT_FAILED. */
int store_call_print(json_t *object, size_t flags);

#endif
