/* SPDX-License-Identifier: Apache-2.0 */

/*
 * auth_rules - what auth_accounts.c gives accounts beside their passwords.
 *
 * While a set is loaded, on the loading thread.
 */

#ifndef WEIR_BROKER_AUTH_RULES_H
#define WEIR_BROKER_AUTH_RULES_H

#include "broker/auth_accounts.h"

/*
 * The verifier for SCRAM-SHA-256 of the account that was added last: that of
 * `text`, or without one that of its password; a hash alone gives none.
 * 0 or -errno; -EINVAL was logged.
 */
int auth_verifier_add(const struct auth_source *source,
    struct auth_accounts *accounts, const char *password, const char *text);

/*
 * The filters that conf->access gives to accounts, and to clients without a
 * name; all accounts have been added.  0 or -ENOMEM.
 */
int auth_rules_apply(struct auth_accounts *accounts, const struct conf *conf);

#endif
