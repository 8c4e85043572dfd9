/* SPDX-License-Identifier: Apache-2.0 */

#include "bridged/probe.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "bridged/mapping.h"
#include "bridged/remote.h"
#include "common/base/clock.h"

/* Of the packets that are written and taken. */
#define MAX_PACKET 65536
#define MAX_PENDING 16

#define CHUNKS 256

/* The identifier of the message. */
#define MESSAGE_ID 1

static const char payload[] = "weirctl bridge test";

/* One address. */
struct probe {
	struct service *service;
	struct conf_bridge conf; /* changed to that of a guest */
	char client_id[32];
	char topic[300];
	struct remote *remote;
	uint64_t began_ns;          /* the step that is under way */
	const char *step;           /* its name */
	struct loop_timer patience; /* for the acknowledgement */
	bool is_over;
	bool is_good;
};

/* Tabs and line ends part fields. */
static void
print_line(const struct probe *probe, const char *word, const char *text)
{
	uint64_t took_ns = clock_now_ns() - probe->began_ns;

	printf("%s\t%s\t%" PRIu64 "\t", word, probe->step, took_ns / 1000);
	for (; *text != '\0'; text++)
		putchar((unsigned char)*text < ' ' ? ' ' : *text);
	putchar('\n');
	fflush(stdout);
}

/* `next` is under way from here on. */
static void
passed(struct probe *probe, const char *detail, const char *next)
{
	print_line(probe, "ok", detail);
	probe->step = next;
	probe->began_ns = clock_now_ns();
}

static void
end(struct probe *probe, bool is_good)
{
	loop_timer_stop(&probe->patience);
	probe->is_over = true;
	probe->is_good = is_good;
}

static const char *
after_tcp(const struct probe *probe)
{
	return probe->conf.remotes->is_tls      ? "TLS"
	    : probe->conf.remotes->is_websocket ? "WebSocket"
						: "CONNACK";
}

static void
on_step(void *arg, const char *step, const char *detail)
{
	struct probe *probe = arg;

	if (strcmp(step, "DNS") == 0)
		passed(probe, detail, "TCP");
	else if (strcmp(step, "TCP") == 0)
		passed(probe, detail, after_tcp(probe));
	else if (strcmp(step, "TLS") == 0)
		passed(probe, detail,
		    probe->conf.remotes->is_websocket ? "WebSocket"
						      : "CONNACK");
	else
		passed(probe, detail, "CONNACK");
}

static void
on_connecting(void *arg)
{
	(void)arg;
}

static void
on_patience(void *arg)
{
	struct probe *probe = arg;

	print_line(probe, "failed",
	    "no acknowledgement within connect_timeout; the remote may be "
	    "stalled");
	end(probe, false);
}

static void
on_up(void *arg, const struct remote_limits *limits)
{
	struct probe *probe = arg;
	struct remote_message message = {
		.id = limits->max_qos == 0 ? 0 : MESSAGE_ID,
		.qos = limits->max_qos == 0 ? 0 : 1,
		.expiry_s = REMOTE_NEVER_EXPIRES,
		.topic = slice_of_string(probe->topic),
		.payload = slice_of_string(payload),
	};
	char detail[128];

	snprintf(detail, sizeof(detail), "window %zu, up to QoS %u%s",
	    limits->window, (unsigned)limits->max_qos,
	    limits->weir_id[0] == '\0' ? "" : ", a Weir");
	passed(probe, detail, "publish");
	loop_timer_start(&probe->patience, probe->conf.connect_timeout_ns);
	if (remote_mqtt.send(probe->remote, &message) != 0) {
		print_line(probe, "failed", "the remote does not take it");
		end(probe, false);
	} else if (message.qos == 0) {
		passed(probe, "sent at QoS 0; the remote takes no more", "");
		end(probe, true);
	}
}

static void
on_down(void *arg, enum remote_trouble trouble, const char *why)
{
	struct probe *probe = arg;

	(void)trouble;
	if (probe->is_over)
		return;
	print_line(probe, "failed", why);
	end(probe, false);
}

static void
on_settled(void *arg, uint16_t id, enum remote_verdict verdict, const char *why)
{
	struct probe *probe = arg;
	char detail[400];

	if (probe->is_over || id != MESSAGE_ID)
		return;
	if (verdict == REMOTE_TOOK)
		snprintf(
		    detail, sizeof(detail), "%s, acknowledged", probe->topic);
	else
		snprintf(detail, sizeof(detail),
		    "%s: %s; the remote must let this user publish there, or "
		    "choose another with --topic",
		    probe->topic, why);
	print_line(probe, verdict == REMOTE_TOOK ? "ok" : "failed", detail);
	end(probe, verdict == REMOTE_TOOK);
}

static bool
on_known(void *arg, uint16_t id)
{
	(void)arg;
	(void)id;
	return false;
}

static void
on_ended(void *arg, uint16_t id)
{
	(void)arg;
	(void)id;
}

static void
on_received(void *arg, const struct remote_message *message)
{
	(void)arg;
	(void)message;
}

static const struct remote_callbacks callbacks = {
	.step = on_step,
	.connecting = on_connecting,
	.up = on_up,
	.down = on_down,
	.settled = on_settled,
	.kept = on_known,
	.ended = on_ended,
	.received = on_received,
	.forgotten = on_known,
	.writable = on_connecting,
};

/* As the bridge, but a guest: nothing of ours stays there. */
static void
become_guest(struct probe *probe, const struct conf_bridge *conf, size_t at)
{
	uint64_t dice = 0;

	if (getrandom(&dice, sizeof(dice), GRND_NONBLOCK) !=
	    (ssize_t)sizeof(dice))
		dice = clock_now_ns();
	/* 23 bytes are what each server must take [MQTT-3.1.3-5]. */
	snprintf(probe->client_id, sizeof(probe->client_id),
	    "weirtest%012" PRIx64, dice & UINT64_C(0xffffffffffff));
	probe->conf = *conf;
	probe->conf.remotes = &conf->remotes[at];
	probe->conf.remote_count = 1;
	probe->conf.client_id = probe->client_id;
	probe->conf.clean_start = true;
	probe->conf.session_expiry_ns = 0;
	probe->conf.announce_bridge = false;
	probe->conf.receive_count = 0;
	probe->conf.topic_alias_maximum = 0;
	probe->conf.will.enabled = false;
	probe->conf.notifications = CONF_NOTIFICATIONS_NONE;
}

static bool
try_address(struct service *service, const struct conf_bridge *conf, size_t at,
    const char *topic)
{
	struct probe probe = { .service = service, .step = "DNS" };
	struct mapping none = { 0 };
	struct remote_spec spec = {
		.conf = &probe.conf,
		.receive = &none,
		.loop = service_loop(service),
		.max_packet = MAX_PACKET,
		.max_pending = MAX_PENDING,
		.callbacks = &callbacks,
		.arg = &probe,
	};

	become_guest(&probe, conf, at);
	if (topic != NULL)
		snprintf(probe.topic, sizeof(probe.topic), "%s", topic);
	else
		snprintf(probe.topic, sizeof(probe.topic), "weir/test/%s",
		    conf->name);
	loop_timer_init(&probe.patience, spec.loop, on_patience, &probe);
	printf("try\t%s\n", probe.conf.remotes->url);
	spec.hub = stream_hub_new(spec.loop, CHUNKS);
	probe.remote = spec.hub == NULL ? NULL : remote_mqtt.new(&spec);
	probe.began_ns = clock_now_ns();
	if (probe.remote != NULL) {
		remote_mqtt.open(probe.remote, "");
		while (!probe.is_over && !service_is_draining(service) &&
		    loop_turn(spec.loop, true) == 0)
			;
		probe.is_over = true;
		loop_timer_stop(&probe.patience);
		remote_mqtt.close(probe.remote);
		remote_mqtt.free(probe.remote);
	}
	stream_hub_free(spec.hub);
	return probe.is_good;
}

int
probe_run(
    struct service *service, const struct conf_bridge *conf, const char *topic)
{
	bool is_good = true;

	for (size_t i = 0; i < conf->remote_count; i++)
		is_good &= try_address(service, conf, i, topic);
	return is_good ? EXIT_OK : EXIT_FAILED;
}
