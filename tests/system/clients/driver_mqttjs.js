/* SPDX-License-Identifier: Apache-2.0 */

/*
 * driver_mqttjs - a client by MQTT.js (4 or 5), moved by lines on stdin; see
 * drivers.py for what they say.  MQTTJS names the module, if not "mqtt".
 */

'use strict';

const readline = require('readline');
const name = process.env.MQTTJS || 'mqtt';
const mqtt = require(name);
const version = require(name + '/package.json').version;

let client, level;

function say(...words) {
	process.stdout.write(words.join('\t') + '\n');
}

function failed(error) {
	if (error)
		say('error', error.message || error);
	return Boolean(error);
}

function on_message(topic, payload, packet) {
	const properties = packet.properties || {};
	const user = properties.userProperties || {};
	const key = Object.keys(user)[0] || '';

	say('message', topic, payload.toString(), packet.qos,
	    packet.retain ? 1 : 0, properties.responseTopic || '', key,
	    user[key] || '');
}

function connect(id, protocol, clean, keepalive, ...will) {
	const options = {
		host: '127.0.0.1', port: Number(process.argv[2]),
		clientId: id, protocolVersion: Number(protocol),
		clean: clean === '1', keepalive: Number(keepalive),
		reconnectPeriod: 200,
	};

	if (process.argv.length > 3) {
		options.protocol = 'ws';
		options.path = process.argv[3];
	}
	level = Number(protocol);
	if (level === 5 && !options.clean)
		options.properties = { sessionExpiryInterval: 3600 };
	if (level === 3)
		options.protocolId = 'MQIsdp';
	if (will.length > 0)
		options.will = { topic: will[0], payload: will[1],
			qos: Number(will[2]), retain: will[3] === '1' };
	client = mqtt.connect(options);
	client.on('connect', (connack) =>
	    say('connected', connack.returnCode || connack.reasonCode || 0,
		connack.sessionPresent ? 1 : 0));
	client.on('close', () => say(client.disconnecting ? 'disconnected' :
	    'lost'));
	client.on('error', failed);
	client.on('message', on_message);
}

function publish(topic, payload, qos, retain, ...more) {
	const options = { qos: Number(qos), retain: retain === '1' };

	if (level === 5 && more.length > 0)
		options.properties = { responseTopic: more[0],
			userProperties: { [more[1]]: more[2] } };
	client.publish(topic, payload, options, (error) =>
	    failed(error) || say('published', 0));
}

function burst(topic, count, qos) {
	let left = Number(count);

	for (let number = 0; number < count; number++)
		client.publish(topic, String(number), { qos: Number(qos) },
		    (error) => failed(error) || --left > 0 || say('burst'));
}

const verbs = {
	connect, publish, burst,
	subscribe: (filter, qos) => client.subscribe(filter,
	    { qos: Number(qos) }, (error, granted) =>
		failed(error) || say('subscribed',
		    granted.length > 0 ? granted[0].qos : qos)),
	unsubscribe: (filter) => client.unsubscribe(filter, (error) =>
	    failed(error) || say('unsubscribed')),
	disconnect: () => client.end(),
};

say('library', 'MQTT.js ' + version);
readline.createInterface({ input: process.stdin })
    .on('line', (line) => {
	    const [verb, ...rest] = line.split('\t');
	    verbs[verb](...rest);
    })
    .on('close', () => process.exit(0));
