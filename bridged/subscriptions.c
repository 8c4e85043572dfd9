/* SPDX-License-Identifier: Apache-2.0 */

#include "bridged/subscriptions.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void
subscriptions_fini(struct subscriptions *subscriptions)
{
	for (size_t i = 0; i < subscriptions->count; i++)
		free(subscriptions->list[i].filter);
	free(subscriptions->list);
	*subscriptions = (struct subscriptions){ 0 };
}

static struct subscription *
find(struct subscriptions *subscriptions, const char *filter)
{
	for (size_t i = 0; i < subscriptions->count; i++)
		if (strcmp(subscriptions->list[i].filter, filter) == 0)
			return &subscriptions->list[i];
	return NULL;
}

/* NULL without memory. */
static struct subscription *
append(struct subscriptions *subscriptions, const char *filter)
{
	size_t size = subscriptions->size;
	struct subscription *longer;
	char *copy = strdup(filter);

	if (copy == NULL)
		return NULL;
	if (subscriptions->count == size) {
		size = size == 0 ? 8 : 2 * size;
		longer = realloc(subscriptions->list, size * sizeof(*longer));
		if (longer == NULL) {
			free(copy);
			return NULL;
		}
		subscriptions->list = longer;
		subscriptions->size = size;
	}
	longer = &subscriptions->list[subscriptions->count++];
	*longer = (struct subscription){
		.filter = copy,
		.state = SUBSCRIPTION_WANTED,
	};
	return longer;
}

static bool
has_options(const struct subscription *a, const struct mapping_rule *b)
{
	return a->qos == b->qos && a->no_local == b->no_local &&
	    a->retain_as_published == b->retain_as_published &&
	    a->retain_handling == b->retain_handling;
}

/* Ask for it, with the options of the rule, if it is not so already. */
static void
want(struct subscription *subscription, const struct mapping_rule *rule)
{
	enum subscription_state state = subscription->state;

	subscription->is_wanted = true;
	if (has_options(subscription, rule) &&
	    (state == SUBSCRIPTION_ASKED || state == SUBSCRIPTION_MADE ||
		state == SUBSCRIPTION_REFUSED))
		return;
	subscription->qos = rule->qos;
	subscription->no_local = rule->no_local;
	subscription->retain_as_published = rule->retain_as_published;
	subscription->retain_handling = rule->retain_handling;
	/* An UNSUBSCRIBE under way comes first. */
	if (state != SUBSCRIPTION_LEAVING)
		subscription->state = SUBSCRIPTION_WANTED;
}

static void
forget(struct subscriptions *subscriptions, size_t i)
{
	free(subscriptions->list[i].filter);
	subscriptions->count--;
	memmove(&subscriptions->list[i], &subscriptions->list[i + 1],
	    (subscriptions->count - i) * sizeof(subscriptions->list[0]));
}

/* What no rule has any more is left at the remote, or was never there. */
static void
drop_unwanted(struct subscriptions *subscriptions)
{
	struct subscription *at;

	for (size_t i = subscriptions->count; i-- > 0;) {
		at = &subscriptions->list[i];
		if (at->is_wanted)
			continue;
		switch (at->state) {
		case SUBSCRIPTION_REFUSED:
			forget(subscriptions, i);
			break;
		case SUBSCRIPTION_WANTED: /* asked for in a former connection */
		case SUBSCRIPTION_MADE:
			at->state = SUBSCRIPTION_UNWANTED;
			break;
		case SUBSCRIPTION_ASKED: /* once it is answered */
		case SUBSCRIPTION_UNWANTED:
		case SUBSCRIPTION_LEAVING:
			break;
		}
	}
}

int
subscriptions_follow(
    struct subscriptions *subscriptions, const struct mapping *rules)
{
	const struct mapping_rule *rule;
	struct subscription *at;
	int err = 0;

	for (size_t i = 0; i < subscriptions->count; i++)
		subscriptions->list[i].is_wanted = false;
	for (size_t i = 0; i < rules->count; i++) {
		rule = &rules->rules[i];
		at = find(subscriptions, rule->filter);
		if (at == NULL)
			at = append(subscriptions, rule->filter);
		if (at == NULL)
			err = -ENOMEM;
		else if (!at->is_wanted)
			want(at, rule);
	}
	drop_unwanted(subscriptions);
	return err;
}

void
subscriptions_connected(
    struct subscriptions *subscriptions, bool session_present, bool keeps_new)
{
	struct subscription *at;

	for (size_t i = subscriptions->count; i-- > 0;) {
		at = &subscriptions->list[i];
		at->asked = 0;
		if (!at->is_wanted && !session_present)
			forget(subscriptions, i);
		else if (!at->is_wanted)
			at->state = SUBSCRIPTION_UNWANTED;
		else if (!session_present || !keeps_new ||
		    at->state != SUBSCRIPTION_MADE ||
		    at->retain_handling != CONF_RETAIN_HANDLING_NEW)
			at->state = SUBSCRIPTION_WANTED;
	}
}

struct subscription *
subscriptions_next(struct subscriptions *subscriptions,
    enum subscription_state state, size_t from)
{
	for (size_t i = from; i < subscriptions->count; i++)
		if (subscriptions->list[i].state == state)
			return &subscriptions->list[i];
	return NULL;
}

size_t
subscriptions_index(const struct subscriptions *subscriptions,
    const struct subscription *subscription)
{
	return (size_t)(subscription - subscriptions->list);
}

struct subscription *
subscriptions_answer(
    struct subscriptions *subscriptions, size_t n, bool is_granted)
{
	struct subscription *at = NULL;

	for (size_t i = 0; i < subscriptions->count && at == NULL; i++)
		if (subscriptions->list[i].asked == n)
			at = &subscriptions->list[i];
	if (at == NULL)
		return NULL;
	at->asked = 0;
	if (at->state != SUBSCRIPTION_ASKED)
		return at;
	if (!is_granted)
		at->state = SUBSCRIPTION_REFUSED;
	else if (at->is_wanted)
		at->state = SUBSCRIPTION_MADE;
	else
		at->state = SUBSCRIPTION_UNWANTED;
	return at;
}

void
subscriptions_left(struct subscriptions *subscriptions)
{
	for (size_t i = subscriptions->count; i-- > 0;) {
		if (subscriptions->list[i].state != SUBSCRIPTION_LEAVING)
			continue;
		if (subscriptions->list[i].is_wanted)
			subscriptions->list[i].state = SUBSCRIPTION_WANTED;
		else
			forget(subscriptions, i);
	}
}
