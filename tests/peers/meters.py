"""Well-behaved meters on pymodbus: meters.py METER tcp | rtu DEVICE

Every register that no quantity needs holds a number of its own, so that a value from the
wrong one shows. Prints `ready WHERE` when it listens.
"""

import asyncio
import struct
import sys

from pymodbus import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice


def words(layout, value):
    """The words of a number, high word first."""
    return list(struct.unpack(f">{struct.calcsize(layout) // 2}H", struct.pack(f">{layout}", value)))


def low_first(layout, value):
    return words(layout, value)[::-1]


# Address of a number's first register and its words.
METERS = {
    "sdm630": {
        0x0000: words("f", 231.5),
        0x0006: words("f", 0.26),
        0x000C: words("f", 18.25),
        0x0034: words("f", 42.5),
        0x0048: words("f", 1234.5),
    },
    "pzem-004t": {
        0: [2301],
        1: low_first("I", 70_000),
        3: low_first("I", 161_000),
        5: low_first("I", 123_456),
        7: [500],
        8: [99],
    },
    "iem3155": {
        0x0BB7: words("f", 0.25),
        0x0BD3: words("f", 229.5),
        0x0BF3: words("f", 0.0425),
        0x0C83: words("q", 9_876_543_210),
    },
    "sunspec": {
        40_000: [0x5375, 0x6E53, 1, 66],
        40_070: [203, 105],
        40_072: [25],
        40_076: words("h", -2),
        40_077: [2305],
        40_085: words("h", -1),
        40_088: words("h", 425),
        40_092: words("h", -1),
        40_177: [0xFFFF, 0],
    },
}


def device(meter):
    numbers = METERS[meter]
    first = min(numbers)
    last = max(address + len(value) for address, value in numbers.items())
    registers = [0x4000 + offset for offset in range(last - first)]
    for address, value in numbers.items():
        registers[address - first : address - first + len(value)] = value
    block = [SimData(first, values=registers, datatype=DataType.REGISTERS)]
    bits = [SimData(0, values=[False] * 16, datatype=DataType.BITS)]
    return SimDevice(1, simdata=(bits, bits, block, block))


async def serve():
    context = device(sys.argv[1])
    if sys.argv[2] == "tcp":
        server = ModbusTcpServer(context, address=("127.0.0.1", 0))
    else:
        server = ModbusSerialServer(
            context, framer=FramerType.RTU, port=sys.argv[3], baudrate=9600
        )
    await server.serve_forever(background=True)
    if sys.argv[2] == "tcp":
        print("ready", server.transport.sockets[0].getsockname()[1], flush=True)
    else:
        print("ready", sys.argv[3], flush=True)
    await asyncio.Event().wait()


asyncio.run(serve())
