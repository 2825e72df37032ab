"""Submits a job to a board and prints the energy of its tokens as they come, with aiomqtt 2.

    pip install aiomqtt
    python aiomqtt_submit.py --host lab-broker --device pi5-01 job.json

job.json is a job as docs/mqtt.md describes it; with {"publish": {"tokens": "live"}} the tokens
come while the model makes them.
"""

import argparse
import asyncio
import json
import sys
import uuid

import aiomqtt
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


def print_batch(batch):
    for token in batch["tokens"]:
        # Missing is null, never 0.
        if token["energy_j"] is None:
            energy = "not measured: " + token.get("reason", "")
        else:
            energy = f"{token['energy_j']:.4f} J ± {token['energy_j_u95']:.4f} J"
        print(f"rep {batch['rep']}  token {token['i']}  {energy}", flush=True)


async def submit(client, device, job):
    """Sends the job and prints its records; returns the result."""
    answers = f"answers/aiomqtt-{uuid.uuid4().hex}"
    properties = Properties(PacketTypes.PUBLISH)
    properties.ResponseTopic = answers
    properties.CorrelationData = uuid.uuid4().bytes
    of_job = f"jouled/{device}/jobs/{job['id']}"
    for topic in (answers, f"{of_job}/tokens", f"{of_job}/result"):
        await client.subscribe(topic, qos=QOS)
    await client.publish(
        f"jouled/{device}/cmd/submit", json.dumps(job), qos=QOS, properties=properties
    )
    printed = set()
    async for message in client.messages:
        record = json.loads(message.payload)
        if message.topic.matches(answers):
            correlation = getattr(message.properties, "CorrelationData", None)
            if correlation == properties.CorrelationData and not record["ok"]:
                error = record["error"]
                sys.exit(f"{error['code']}: {error['message']} ({error['field']})")
        elif message.topic.matches(f"{of_job}/tokens"):
            # A batch may come twice; attempt and seq name it.
            if (record["attempt"], record["seq"]) not in printed:
                printed.add((record["attempt"], record["seq"]))
                print_batch(record)
        elif message.topic.matches(f"{of_job}/result"):
            # It leaves last. For what was missed there is cmd/replay.
            return record


async def main():
    options = arguments()
    tls = None
    if options.ca:
        tls = aiomqtt.TLSParameters(options.ca, options.cert, options.key)
    async with aiomqtt.Client(
        options.host, options.port, protocol=aiomqtt.ProtocolVersion.V5, tls_params=tls
    ) as client:
        result = await submit(client, options.device, json.load(options.job))
    print(f"{result['id']}  {result['state']}")


asyncio.run(main())
