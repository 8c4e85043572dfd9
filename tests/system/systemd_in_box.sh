#!/bin/bash
# SPDX-License-Identifier: Apache-2.0

# systemd_in_box.sh - run as a service of a freshly booted systemd in which
# Weir is installed: starts the target, uses it, kills parts of it.  TAP.
set -u

count=0 failures=0
check() { # TEXT COMMAND...
	local text=$1
	shift
	count=$((count + 1))
	if "$@"; then
		echo "ok $count - $text"
	else
		echo "not ok $count - $text"
		failures=$((failures + 1))
	fi
}

# Poll a command until it succeeds, for 20 s at most.
until_ok() {
	local deadline=$((SECONDS + 20))
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $deadline ] || return 1
		sleep 0.1
	done
}

main_pid() {
	systemctl show -p MainPID --value "$1"
}

is_active() {
	[ "$(systemctl is-active "$1")" = active ]
}

publish() { # TOPIC PAYLOAD
	[ "$(curl -s -o /dev/null -w '%{http_code}' -m 10 -u admin:public \
		-H 'Content-Type: application/json' \
		-d "{\"topic\":\"$1\",\"payload\":\"$2\",\"qos\":1}" \
		http://127.0.0.1:8081/api/v4/mqtt/publish)" = 200 ]
}

seen() { # FILE TEXT
	grep -qx -- "$2" "$1"
}

passes_to_remote() { # TEXT
	publish bridge/x "$1" && until_ok seen /run/remote.out "$1"
}

restarted() { # UNIT OLD-PID
	local pid
	pid=$(main_pid "$1")
	is_active "$1" && [ "$pid" != 0 ] && [ "$pid" != "$2" ]
}

same() { # A B
	[ "$1" = "$2" ]
}

# Nothing that systemd has to say about the units is acceptable.
verified() {
	local said
	said=$(systemd-analyze verify --man=no /lib/systemd/system/weir* 2>&1 |
		grep -i weir)
	[ -z "$said" ] || { echo "$said" | sed 's/^/# /'; return 1; }
}

exposure() { # UNIT: the figure of systemd-analyze security, times ten
	systemd-analyze security --no-pager "$1" 2>/dev/null |
		sed -n 's/.*Overall exposure level.*: \([0-9]*\)\.\([0-9]\).*/\1\2/p'
}

is_shut() { # UNIT
	local level
	level=$(exposure "$1")
	[ -n "$level" ] && [ "$level" -le 25 ]
}

runs_as() { # UNIT USER
	[ "$(ps -o user:32= -p "$(main_pid "$1")" | tr -d ' ')" = "$2" ]
}

systemctl stop mosquitto 2>/dev/null
cat >/run/remote.conf <<'C'
listener 1884 127.0.0.1
allow_anonymous true
max_queued_messages 0
C
systemd-run --quiet --unit=remote /usr/sbin/mosquitto -c /run/remote.conf

cat >/etc/weir/weir.conf <<'C'
run_dir = "/run/weir";
state_dir = "/var/lib/weir";
listeners = ( { bind = "127.0.0.1:1883"; } );
durability = "disk";
accounts = ( { name = "admin"; password = "public"; } );
http = { bind = "127.0.0.1:8081"; };
bridges = ( { name = "cloud"; url = "mqtt://127.0.0.1:1884";
              forward = ( { filter = "bridge/#"; qos = 1; } ); } );
C

check "the users are made" systemd-sysusers
check "the folders are made" \
	systemd-tmpfiles --create /usr/lib/tmpfiles.d/weir.conf
systemctl daemon-reload
check "systemd has no complaint about the units" verified
check "the units are enabled" systemctl --quiet enable weir.target \
	weir-broker weir-httpd weir-bridged@cloud
check "weir.target starts" systemctl start weir.target
for unit in weir-broker weir-httpd weir-bridged@cloud; do
	check "$unit runs" until_ok is_active $unit
done
check "the broker runs as its own user" runs_as weir-broker weir-broker
check "httpd runs as its own user" runs_as weir-httpd weir-httpd
check "the bridge runs as its own user" runs_as weir-bridged@cloud weir-bridged

until_ok mosquitto_pub -h 127.0.0.1 -p 1884 -t probe -m probe
stdbuf -oL mosquitto_sub -h 127.0.0.1 -p 1884 -q 1 -t 'bridge/#' \
	>/run/remote.out &
# This client must live through all that follows: it says so at the end.
stdbuf -oL mosquitto_sub -h 127.0.0.1 -p 1883 -i witness -k 5 -q 1 \
	-t 'local/#' >/run/local.out 2>/run/local.err &
witness=$!
listens() {
	mosquitto_pub -h 127.0.0.1 -p 1884 -t bridge/probe -m probe
	mosquitto_pub -h 127.0.0.1 -p 1883 -t local/probe -m probe
	seen /run/remote.out probe && seen /run/local.out probe
}
check "subscribers listen on either side" until_ok listens

check "a message by HTTP reaches the remote" passes_to_remote one
check "a message by HTTP reaches a local subscriber" publish local/x here
check "... and it is there" until_ok seen /run/local.out here

# mosquitto_sub would come back silently: its port tells.
connection() {
	ss -Htnp state established 'dport = :1883' |
		grep "pid=$witness," | awk '{ print $3 }'
}
first_connection=$(connection)
check "the witness is connected" test -n "$first_connection"

broker=$(main_pid weir-broker)
for round in 1 2; do
	old=$(main_pid weir-bridged@cloud)
	kill -KILL "$old"
	check "round $round: accepted while the bridge is dead" \
		publish bridge/x "dead-$round"
	check "round $round: the bridge comes back by itself" \
		until_ok restarted weir-bridged@cloud "$old"
	check "round $round: what was accepted meanwhile arrives" \
		until_ok seen /run/remote.out "dead-$round"
	check "round $round: and it goes on" passes_to_remote "bridge-$round"

	old=$(main_pid weir-httpd)
	kill -KILL "$old"
	check "round $round: httpd comes back by itself" \
		until_ok restarted weir-httpd "$old"
	check "round $round: and it goes on" \
		until_ok passes_to_remote "httpd-$round"
done
check "the broker did not notice" same "$(main_pid weir-broker)" "$broker"
publish local/x end
check "its client did not notice" until_ok seen /run/local.out end
check "... and has the connection it began with" \
	same "$(connection)" "$first_connection"

kill -KILL "$broker"
check "a killed broker comes back by itself" \
	until_ok restarted weir-broker "$broker"
check "and the whole way is open again" until_ok passes_to_remote "broker"

for unit in weir-broker weir-httpd weir-bridged@cloud; do
	echo "# exposure of $unit: $(exposure $unit) of 100"
	check "$unit is shut in" is_shut $unit
done

check "weir.target stops" systemctl stop weir.target
stopped() {
	! is_active weir-broker && ! is_active weir-httpd &&
		! is_active weir-bridged@cloud
}
check "all of it has stopped" until_ok stopped
check "in order: no unit has failed" \
	same "$(systemctl --failed --no-legend | grep -c weir)" 0

echo "bogus = 1;" >>/etc/weir/weir.conf
systemctl start weir-httpd 2>/dev/null
check "a wrong configuration ends with 78 and is not restarted" \
	same "$(systemctl show -p ExecMainStatus --value weir-httpd)" 78
systemctl reset-failed

echo "1..$count"
[ $failures = 0 ]
