"""A meter that misbehaves: hostile.py BEHAVIOURS tcp | rtu DEVICE

Function 4, unit 1: volts at 0, amperes at 6, watts at 12, each a float32 with its high word
first. BEHAVIOURS, separated by commas, are for one request each that asks for more than one of
them; all others are answered well. An answer that must not be used holds POISON.
"""

import asyncio
import os
import struct
import sys
import termios
import tty

UNIT = 1
GOOD = {0: 230.0, 6: 0.25, 12: 42.5}
POISON = 9999.0


def registers(values):
    words = [0] * 20
    for address, value in values.items():
        words[address : address + 2] = struct.unpack(">HH", struct.pack(">f", value))
    return words


def data(words, function=4):
    return struct.pack(f">BB{len(words)}H", function, 2 * len(words), *words)


def crc(frame):
    value = 0xFFFF
    for byte in frame:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return struct.pack("<H", value)


class Tcp:
    """Frames of Modbus TCP; a request's tag is its transaction."""

    def frame(self, tag, pdu, unit=UNIT):
        return struct.pack(">HHHB", tag, 0, len(pdu) + 1, unit) + pdu

    async def request(self, reader):
        header = await reader.readexactly(7)
        tag, _, length, _ = struct.unpack(">HHHB", header)
        return tag, await reader.readexactly(length - 1)


class Rtu:
    """Frames of Modbus RTU, which have no tag."""

    def frame(self, _tag, pdu, unit=UNIT):
        frame = bytes([unit]) + pdu
        return frame + crc(frame)

    async def request(self, reader):
        while True:
            frame = await reader.readexactly(8)
            if frame[0] == UNIT:
                return None, frame[1:6]


class Meter:
    def __init__(self, wire, behaviours):
        self.wire = wire
        self.behaviours = behaviours
        self.held = None

    async def serve(self, reader, writer):
        try:
            while True:
                tag, pdu = await self.wire.request(reader)
                _, address, count = struct.unpack(">BHH", pdu)
                if self.held is not None:
                    # As late as can be: in the place of another question's answer.
                    writer.write(self.wire.frame(tag, self.held))
                    self.held = None
                behaviour = "ok"
                if count > 2 and self.behaviours:
                    behaviour = self.behaviours.pop(0)
                behaviour, _, argument = behaviour.partition(":")
                if not await self.answer(writer, tag, address, count, behaviour, argument):
                    writer.close()
                    return
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def answer(self, writer, tag, address, count, behaviour, argument):
        """Answers one request; False ends the connection."""
        span = slice(address, address + count)
        good = registers(GOOD)[span]
        poison = registers(dict.fromkeys(GOOD, POISON))[span]
        frame = lambda pdu, **other: self.wire.frame(tag, pdu, **other)
        match behaviour:
            case "ok":
                writer.write(frame(data(good)))
            case "late":
                answer = frame(data(poison))
                asyncio.get_running_loop().call_later(float(argument), writer.write, answer)
            case "hold":
                self.held = data(poison)
            case "shorter":
                writer.write(frame(data(poison[:-1])))
            case "longer":
                writer.write(frame(data(poison + [0])))
            case "unit":
                writer.write(frame(data(poison), unit=UNIT + 1))
            case "function":
                writer.write(frame(data(poison, function=3)))
            case "nan":
                values = dict(GOOD)
                values[12] = float("nan")
                writer.write(frame(data(registers(values)[span])))
            case "exception":
                writer.write(frame(bytes([0x84, int(argument)])))
            case "half":
                writer.write(frame(data(poison))[:9])
                return isinstance(self.wire, Rtu)
            case "disconnect":
                return False
            case "garbage":
                writer.write(bytes(range(7, 251, 3)))
            case "flood":
                writer.write(frame(data(good)))
                # More than any buffer swallows with the good one.
                writer.write(frame(data(poison)) * 1000)
            case "silent":
                pass
            case _:
                raise ValueError(behaviour)
        return True


async def tcp(behaviours):
    meter = Meter(Tcp(), behaviours)
    server = await asyncio.start_server(meter.serve, "127.0.0.1", 0)
    print("ready", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def rtu(behaviours, device):
    port = os.open(device, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(port, termios.TCSANOW)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await loop.connect_read_pipe(lambda: protocol, os.fdopen(os.dup(port), "rb", buffering=0))
    transport, drain = await loop.connect_write_pipe(
        asyncio.streams.FlowControlMixin, os.fdopen(port, "wb", buffering=0)
    )
    writer = asyncio.StreamWriter(transport, drain, reader, loop)
    print("ready", device, flush=True)
    await Meter(Rtu(), behaviours).serve(reader, writer)


behaviours = sys.argv[1].split(",")
asyncio.run(tcp(behaviours) if sys.argv[2] == "tcp" else rtu(behaviours, sys.argv[3]))
