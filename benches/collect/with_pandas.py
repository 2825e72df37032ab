"""The same job as `joulectl collect`, as a lab would write it: paho-mqtt, pandas, Parquet.

usage: with_pandas.py PORT DIR plain|durable

Token records, each once by its identity, go into DIR/tokens/date=.../device=.../part-N.parquet.
`plain` acknowledges at once and loses on a kill what it has in memory. `durable` acknowledges
what has been appended to a journal and synced, once for each turn of the loop. Both end after a
second without messages.
"""

import json
import os
import sys
import time

import pandas as pd
import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

PART_BYTES = 64 << 20
IDLE_S = 1.0


class Collector:
    def __init__(self, folder, durable):
        self.folder = folder
        self.durable = durable
        self.seen = set()
        self.columns = {}
        self.bytes = 0
        self.parts = 0
        self.unacknowledged = []
        self.heard = time.monotonic()
        os.makedirs(folder, exist_ok=True)
        self.journal = open(os.path.join(folder, "journal"), "ab") if durable else None

    def message(self, client, _, message):
        self.heard = time.monotonic()
        if self.durable:
            self.journal.write(message.payload)
            self.journal.write(b"\n")
            self.unacknowledged.append(message)
        record = json.loads(message.payload)
        if "tokens" not in record or "rep" not in record:
            return
        key = tuple(record[name] for name in ("device", "id", "attempt", "rep", "seq"))
        if key in self.seen:
            return
        self.seen.add(key)
        place = (record["time"][:10], record["device"])
        rows = self.columns.setdefault(place, [])
        for token in record["tokens"]:
            rows.append(
                (
                    record["id"],
                    record["attempt"],
                    record["rep"],
                    token["i"],
                    record["time"],
                    record["seq"],
                    token["t_s"],
                    token["energy_j"],
                    token["energy_j_u95"],
                    token["u_ran_j"],
                    token["power_w"],
                    token.get("reason"),
                    record["resolved"],
                    record["u_sys_rel"],
                )
            )
        self.bytes += len(message.payload)
        if self.bytes >= PART_BYTES:
            self.write()

    def sync(self, client):
        if self.unacknowledged:
            self.journal.flush()
            os.fsync(self.journal.fileno())
            for message in self.unacknowledged:
                client.ack(message.mid, message.qos)
            self.unacknowledged.clear()

    def write(self):
        names = "id attempt rep i time seq t_s energy_j energy_j_u95 u_ran_j power_w reason resolved u_sys_rel"
        for (date, device), rows in self.columns.items():
            frame = pd.DataFrame.from_records(rows, columns=names.split())
            frame["time"] = pd.to_datetime(frame["time"])
            folder = os.path.join(self.folder, "tokens", f"date={date}", f"device={device}")
            os.makedirs(folder, exist_ok=True)
            path = os.path.join(folder, f"part-{self.parts}.parquet")
            frame.to_parquet(path + ".tmp", index=False)
            with open(path + ".tmp", "rb") as file:
                os.fsync(file.fileno())
            os.rename(path + ".tmp", path)
        self.columns.clear()
        self.bytes = 0
        self.parts += 1
        # Nobody was heard meanwhile, since nobody listened.
        self.heard = time.monotonic()


def main():
    port, folder, mode = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    collector = Collector(folder, mode == "durable")
    client = mqtt.Client(
        mqtt.CallbackAPIVersion.VERSION2,
        client_id="pandas",
        protocol=mqtt.MQTTv5,
        manual_ack=collector.durable,
    )
    client.on_message = collector.message
    session = Properties(PacketTypes.CONNECT)
    session.SessionExpiryInterval = 86_400
    session.ReceiveMaximum = 512
    client.connect("127.0.0.1", port, clean_start=False, properties=session)
    client.subscribe([("jouled/+/jobs/+/tokens", 1), ("jouled/+/jobs/+/result", 1)])
    collector.heard = time.monotonic()
    while time.monotonic() - collector.heard < IDLE_S:
        client.loop(0.1)
        if collector.durable:
            collector.sync(client)
    collector.write()
    client.disconnect()


main()
