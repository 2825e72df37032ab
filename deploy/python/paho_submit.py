"""Submits a job to a board and prints the energy of its tokens, with paho-mqtt 2.

    pip install paho-mqtt
    python paho_submit.py --host lab-broker --device pi5-01 job.json

job.json is a job as docs/mqtt.md describes it.
"""

import argparse
import json
import sys
import uuid

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

QOS = 1


def arguments():
    parser = argparse.ArgumentParser(description="Submit a job, print the energy of its tokens.")
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, default=1883)
    parser.add_argument("--ca", help="the lab's authority, for TLS")
    parser.add_argument("--cert", help="a client certificate, with --key")
    parser.add_argument("--key")
    parser.add_argument("--device", required=True)
    parser.add_argument("job", type=argparse.FileType())
    return parser.parse_args()


class Submission:
    def __init__(self, device, job):
        self.base = f"jouled/{device}"
        self.job = job
        self.answers = f"answers/paho-{uuid.uuid4().hex}"
        self.correlation = uuid.uuid4().bytes
        self.batches = {}
        self.result = None
        self.failure = None

    def on_connect(self, client, _userdata, _flags, reason, _properties):
        if reason.is_failure:
            self.failure = f"the broker refuses: {reason}"
            client.disconnect()
            return
        of_job = f"{self.base}/jobs/{self.job['id']}"
        client.subscribe(
            [(topic, QOS) for topic in (self.answers, f"{of_job}/tokens", f"{of_job}/result")]
        )

    def on_subscribe(self, client, _userdata, _mid, reasons, _properties):
        if any(reason.is_failure for reason in reasons):
            self.failure = "the broker allows no subscription to answers and records"
            client.disconnect()
            return
        # Only now can no answer be missed.
        self.command(client, "submit", self.job)

    def command(self, client, name, payload):
        properties = Properties(PacketTypes.PUBLISH)
        properties.ResponseTopic = self.answers
        properties.CorrelationData = self.correlation
        client.publish(f"{self.base}/cmd/{name}", json.dumps(payload), QOS, properties=properties)

    def on_message(self, client, _userdata, message):
        record = json.loads(message.payload)
        if message.topic == self.answers:
            if getattr(message.properties, "CorrelationData", None) == self.correlation:
                self.answered(client, record)
        elif message.topic.endswith("/tokens"):
            # Duplicates are harmless: attempt and seq name a batch.
            self.batches[record["attempt"], record["seq"]] = record
        else:
            if self.result is None and self.missing(record):
                # The result leaves last: what is not here by now has to be asked for.
                self.command(client, "replay", {"id": record["id"], "attempt": record["attempt"]})
            self.result = record
        if self.result and not self.missing(self.result):
            client.disconnect()

    def answered(self, client, answer):
        if not answer["ok"]:
            error = answer["error"]
            self.failure = f"{error['code']}: {error['message']} ({error['field']})"
            client.disconnect()

    def missing(self, result):
        attempt = result["attempt"]
        here = sum(1 for of, _ in self.batches if of == attempt)
        return result["records"]["tokens"] - here

    def tokens(self):
        for _, batch in sorted(self.batches.items()):
            if batch["attempt"] == self.result["attempt"]:
                for token in batch["tokens"]:
                    yield batch["rep"], token


def main():
    options = arguments()
    submission = Submission(options.device, json.load(options.job))
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.on_connect = submission.on_connect
    client.on_subscribe = submission.on_subscribe
    client.on_message = submission.on_message
    if options.ca:
        client.tls_set(options.ca, options.cert, options.key)
    client.connect(options.host, options.port)
    client.loop_forever()
    if submission.failure:
        sys.exit(submission.failure)
    for rep, token in submission.tokens():
        energy = "not measured: " + token.get("reason", "")
        # Missing is null, never 0.
        if token["energy_j"] is not None:
            energy = f"{token['energy_j']:.4f} J ± {token['energy_j_u95']:.4f} J"
        print(f"rep {rep}  token {token['i']}  {energy}")
    print(f"{submission.result['id']}  {submission.result['state']}")


main()
