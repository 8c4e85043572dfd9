/* SPDX-License-Identifier: Apache-2.0 */

/*
 * publish_fast - the bodies that most clients send, read in one pass:
 *
 *	{"topic":"a/b","payload":"text","qos":1,"retain":false,"clientid":"c"}
 *
 * A flat object of these members and "encoding":"plain", each at most once,
 * whose strings hold no escapes and are UTF-8.  All else, also what is wrong,
 * is left to publish_json.h, which decides: this is faster, never kinder.
 * A test compares the two.  Pure; any thread.
 */

#ifndef WEIR_HTTPD_PUBLISH_FAST_H
#define WEIR_HTTPD_PUBLISH_FAST_H

#include <stdbool.h>

#include "common/base/slice.h"
#include "httpd/publish_json.h"

/*
 * True: *out_entry is what publish_json_read() would make of it; its slices
 * point into `body`.  False: ask publish_json; *out_entry is undefined.
 */
bool publish_fast_read(struct slice body, struct publish_entry *out_entry);

#endif
