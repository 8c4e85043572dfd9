/* SPDX-License-Identifier: Apache-2.0 */

/* The keys of the journal: what belongs together, and what follows. */

#include "common/base/parse.h"
#include "common/conf/conf_table.h"

#define DEFAULT_BACKLOG (UINT64_C(256) << 20)
#define COMMIT_WINDOW (UINT64_C(4) << 20)

/* Segments are filled in turns; with fewer, none could be used again. */
#define MIN_SEGMENTS 4

/* Segments are made of them. */
#define PAGE_BYTES UINT64_C(4096)

/* No record takes more of a segment than one part of so many. */
#define RECORDS_IN_SEGMENT 4

bool
conf_has_journal(const struct conf *conf)
{
	return conf->durability != CONF_DURABILITY_NONE;
}

uint64_t
conf_commit_window(const struct conf *conf)
{
	uint64_t largest = conf->max_packet_size + CONF_RECORD_OVERHEAD;

	return COMMIT_WINDOW > 2 * largest ? COMMIT_WINDOW : 2 * largest;
}

static void
check_segment(struct conf_reader *reader, config_setting_t *at,
    const struct conf *conf, struct conf_journal *journal)
{
	uint64_t least = RECORDS_IN_SEGMENT *
		(conf->max_packet_size + CONF_RECORD_OVERHEAD) +
	    PAGE_BYTES;
	char given[PARSE_TEXT_SIZE], wanted[PARSE_TEXT_SIZE];

	least = (least + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
	if (journal->segment_bytes % PAGE_BYTES != 0)
		conf_mistake(reader, conf_at_key(at, "segment_size"),
		    "segment_size must be whole pages of 4KiB, as in 16MiB");
	if (journal->segment_bytes >= least)
		return;
	if (!conf_is_given(at, "segment_size"))
		journal->segment_bytes = least;
	else
		conf_mistake(reader, conf_at_key(at, "segment_size"),
		    "segment_size is %s, but a segment must hold the largest "
		    "packet four times: allowed from %s on; raise it or lower "
		    "max_packet_size",
		    format_size(journal->segment_bytes, given),
		    format_size(least, wanted));
}

static void
check_sizes(
    struct conf_reader *reader, config_setting_t *root, struct conf *conf)
{
	struct conf_journal *journal = &conf->journal;
	config_setting_t *at = NULL;
	char given[PARSE_TEXT_SIZE], wanted[PARSE_TEXT_SIZE];

	if (root != NULL)
		at = config_setting_get_member(root, "journal");
	check_segment(reader, at, conf, journal);
	if (journal->max_bytes / MIN_SEGMENTS >= journal->segment_bytes)
		return;
	conf_mistake(reader,
	    conf_at_key(at == NULL ? root : at,
		conf_is_given(at, "max_size") ? "max_size" : "segment_size"),
	    "max_size of the journal is %s, less than four segments of %s; "
	    "raise max_size or lower segment_size",
	    format_size(journal->max_bytes, given),
	    format_size(journal->segment_bytes, wanted));
}

/* `list`: the bridges, or NULL. */
static void
resolve_backlog(struct conf_reader *reader, config_setting_t *list,
    struct conf *conf, size_t index)
{
	struct conf_bridge *bridge = &conf->bridges[index];
	config_setting_t *at = NULL;

	if (list != NULL)
		at = config_setting_get_elem(list, (unsigned)index);
	if (!conf_is_given(at, "backlog"))
		bridge->backlog = conf_has_journal(conf) ? DEFAULT_BACKLOG : 0;
	else if (bridge->backlog != 0 && !conf_has_journal(conf))
		conf_mistake(reader, conf_at_key(at, "backlog"),
		    "backlog waits in the journal, and this durability has "
		    "none; set durability = \"disk\", or leave backlog out or "
		    "\"0\"");
}

void
conf_check_journal(
    struct conf_reader *reader, config_setting_t *root, struct conf *conf)
{
	config_setting_t *list = NULL;

	if (root != NULL)
		list = config_setting_get_member(root, "bridges");
	if (conf_has_journal(conf))
		check_sizes(reader, root, conf);
	for (size_t i = 0; i < conf->bridge_count; i++)
		resolve_backlog(reader, list, conf, i);
}
