/* SPDX-License-Identifier: Apache-2.0 */

/* What bodies and answers look like. */

#include <string.h>

#include "httpd/openapi.h"

#define STRING "{\"type\":\"string\"}"
#define TEXT(description)                                                      \
	"{\"type\":\"string\",\"description\":\"" description "\"}"
#define INTEGER "{\"type\":\"integer\"}"
#define BOOLEAN "{\"type\":\"boolean\"}"
#define REF(name) "{\"$ref\":\"#/components/schemas/" name "\"}"
#define ARRAY(items) "{\"type\":\"array\",\"items\":" items "}"
#define OBJECT(properties)                                                     \
	"{\"type\":\"object\",\"properties\":{" properties "}}"

/* {"code":0,"data":...}, and the same with the meta of a page. */
#define DATA(data) OBJECT("\"code\":" INTEGER ",\"data\":" data)
#define PAGE(data)                                                             \
	OBJECT("\"code\":" INTEGER ",\"data\":" data ",\"meta\":" REF("Meta"))
#define PAGE_V5(data) OBJECT("\"data\":" data ",\"meta\":" REF("Meta"))
#define ANY_OBJECT "{\"type\":\"object\"}"

#define QOS "{\"type\":\"integer\",\"minimum\":0,\"maximum\":2,\"default\":0}"
#define ENCODING                                                               \
	"{\"type\":\"string\",\"enum\":[\"plain\",\"base64\"],"                \
	"\"default\":\"plain\"}"
#define TOPIC TEXT("Topic name, without wildcards.")

/* What messages of both APIs have. */
#define MESSAGE                                                                \
	"\"payload\":" TEXT(                                                   \
	    "Text, or base64 as the encoding says.") ","                       \
						     "\"qos\":" QOS            \
						     ",\"retain\":{\"type\":"  \
						     "\"boolean\","            \
						     "\"default\":false},"     \
						     "\"clientid\":" STRING    \
						     ","                       \
						     "\"properties\":" REF(    \
							 "Properties")

static const struct openapi_schema schemas[] = {
	{ "Error", "",
	    "{\"type\":\"object\",\"required\":[\"code\",\"message\"],"
	    "\"properties\":{\"code\":{\"type\":\"integer\","
	    "\"description\":\"101 to 118 as old clients know them, else the "
	    "status.\"},\"message\":{\"type\":\"string\","
	    "\"description\":\"What is wrong and what to do.\"}}}" },
	{ "Properties", "",
	    OBJECT("\"payload_format_indicator\":{\"type\":\"integer\","
		   "\"minimum\":0,\"maximum\":1},"
		   "\"message_expiry_interval\":{\"type\":\"integer\","
		   "\"minimum\":0,\"maximum\":4294967295},"
		   "\"response_topic\":" STRING ",\"content_type\":" STRING
		   ",\"correlation_data\":" STRING
		   ",\"user_properties\":{\"type\":\"object\","
		   "\"additionalProperties\":" STRING "}") },
	{ "MessageV4", "",
	    "{\"type\":\"object\",\"required\":[\"payload\"],\"properties\":{"
	    "\"topic\":" TOPIC ",\"topics\":" TEXT(
		"Instead of topic: names with commas between; "
		"at most 64.") ",\"encoding\":" ENCODING "," MESSAGE "}}" },
	{ "MessagesV4", "",
	    "{\"type\":\"array\",\"minItems\":1,\"maxItems\":1024,"
	    "\"items\":" REF("MessageV4") "}" },
	{ "MessageV5", "",
	    "{\"type\":\"object\",\"required\":[\"topic\",\"payload\"],"
	    "\"properties\":{\"topic\":" TOPIC ",\"payload_encoding\":" ENCODING
	    "," MESSAGE "}}" },
	{ "MessagesV5", "",
	    "{\"type\":\"array\",\"minItems\":1,\"maxItems\":1024,"
	    "\"items\":" REF("MessageV5") "}" },
	{ "Published", "200",
	    OBJECT("\"code\":" INTEGER ",\"receivers\":{\"type\":\"integer\","
		   "\"description\":\"Sessions and bridges it went to.\"}") },
	{ "PublishedBatch", "200 207",
	    "{\"type\":\"object\",\"description\":\"200 when all went, else "
	    "207; each message has its own code.\",\"properties\":{"
	    "\"code\":" INTEGER
	    ",\"data\":" ARRAY(OBJECT("\"topic\":" STRING ",\"code\":" INTEGER
				      ",\"message\":" STRING)) "}}" },
	{ "PublishedV5", "200 202",
	    "{\"type\":\"object\",\"required\":[\"id\"],\"description\":"
	    "\"202 with reason_code 16 when nobody subscribes: the message "
	    "was accepted.\",\"properties\":{\"id\":" TEXT(
		"32 hexadecimal digits that no other message has.") ",\"reason_"
								    "code\""
								    ":" INTEGER
								    ",\"message"
								    "\":" STRING
								    "}}" },
	{ "PublishedBulk", "200 202 207",
	    "{\"type\":\"array\",\"description\":\"One result a message, in "
	    "order.  200: all went to somebody.  202: all were accepted, and "
	    "nobody subscribes to one of them at least.  207: at least one "
	    "was not accepted; it has code and message.\",\"items\":" OBJECT(
		"\"id\":" STRING ",\"reason_code\":" INTEGER
		",\"code\":" INTEGER ",\"message\":" STRING) "}" },
	{ "Description", "200", ANY_OBJECT },
	{ "Meta", "",
	    OBJECT("\"page\":" INTEGER ",\"limit\":" INTEGER
		   ",\"count\":" INTEGER ",\"hasnext\":" BOOLEAN) },
	{ "Client", "200",
	    OBJECT(
		"\"clientid\":" STRING ",\"username\":"
		"{\"type\":\"string\",\"nullable\":true},\"connected\":" BOOLEAN
		",\"connected_at\":" STRING ",\"ip_address\":" STRING
		",\"port\":" INTEGER ",\"proto_ver\":" INTEGER
		",\"keepalive\":" INTEGER ",\"clean_start\":" BOOLEAN
		",\"expiry_interval\":" INTEGER
		",\"subscriptions_cnt\":" INTEGER ",\"mqueue_len\":" INTEGER
		",\"recv_msg\":" INTEGER ",\"send_msg\":" INTEGER) },
	{ "Subscription", "",
	    OBJECT(
		"\"clientid\":" STRING ",\"topic\":" STRING ",\"qos\":" INTEGER
		",\"nl\":" INTEGER ",\"rap\":" INTEGER) },
	{ "Subscriptions", "200", ARRAY(REF("Subscription")) },
	{ "ClientPage", "200", PAGE(ARRAY(REF("Client"))) },
	{ "ClientPageV5", "200", PAGE_V5(ARRAY(REF("Client"))) },
	{ "SubscriptionPage", "200", PAGE(ARRAY(REF("Subscription"))) },
	{ "SubscriptionPageV5", "200", PAGE_V5(ARRAY(REF("Subscription"))) },
	{ "TopicTree", "200",
	    OBJECT("\"code\":" INTEGER ",\"truncated\":" BOOLEAN
		   ",\"data\":" ARRAY(
		       ARRAY(OBJECT("\"topic\":" STRING ",\"cld_cnt\":" INTEGER
				    ",\"subscriptions\":" INTEGER)))) },
	{ "List", "200", DATA(ARRAY(ANY_OBJECT)) },
	{ "ListPage", "200", PAGE(ARRAY(ANY_OBJECT)) },
	{ "Objects", "200", ARRAY(ANY_OBJECT) },
	{ "Object", "200", OBJECT("\"code\":" INTEGER ",\"data\":{}") },
	{ "Names", "200", DATA(ARRAY(STRING)) },
	{ "Done", "200", OBJECT("\"code\":" INTEGER) },
	{ "Order", "200", OBJECT("\"code\":" INTEGER) },
	{ "Created", "201", OBJECT("\"code\":" INTEGER) },
	{ "Nothing", "204", ANY_OBJECT },
	{ "Bridge", "",
	    "{\"type\":\"object\",\"description\":\"The keys of a bridge as in "
	    "weir.conf(5), without its name.\"}" },
	{ "Switch", "",
	    "{\"type\":\"object\",\"required\":[\"enable\"],\"properties\":{"
	    "\"enable\":" BOOLEAN "}}" },
};

const struct openapi_schema *
openapi_schema_at(size_t index)
{
	return index < sizeof(schemas) / sizeof(schemas[0]) ? &schemas[index]
							    : NULL;
}

const struct openapi_schema *
openapi_schema_find(const char *name)
{
	for (size_t i = 0; i < sizeof(schemas) / sizeof(schemas[0]); i++)
		if (strcmp(schemas[i].name, name) == 0)
			return &schemas[i];
	return NULL;
}
