/* SPDX-License-Identifier: Apache-2.0 */

/*
 * auth_names - the names that accounts have had, each once and for good.
 *
 * Sessions belong to names, and outlive the accounts: a pointer to a name is
 * good as long as the broker lives, whatever the configuration becomes, and
 * equal names are one pointer.  It grows with new names alone.
 *
 * Written by one thread; the texts may be read by any.
 */

#ifndef WEIR_BROKER_AUTH_NAMES_H
#define WEIR_BROKER_AUTH_NAMES_H

struct auth_names {
	void *root; /* of a tree of texts */
};

/* The text that stands for all equal ones; NULL without memory. */
const char *auth_names_keep(struct auth_names *names, const char *name);

void auth_names_fini(struct auth_names *names);

#endif
