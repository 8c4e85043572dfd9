/* SPDX-License-Identifier: Apache-2.0 */

/* What takes more than one key of a tls group to judge. */

#include "common/conf/conf_table.h"

void
conf_check_tls(struct conf_reader *reader, enum conf_section section,
    config_setting_t *at, struct conf_tls *tls)
{
	tls->enabled = at != NULL;
	if (at == NULL)
		return;
	tls->line = config_setting_source_line(at);
	if (section == CONF_SECTION_TLS_SERVER && tls->ca_file == NULL &&
	    conf_is_given(at, "client_cert"))
		conf_mistake(reader, conf_at_key(at, "client_cert"),
		    "client_cert without ca_file; ca_file says which "
		    "certificates are good");
}
