"""The energy that the far end of the bus served, against what a result says.

The current is a square wave of CLOCK_MONOTONIC (zero is zero of the clock, each period begins
high), and a result's timeline is absolute: anybody can integrate what an interval used.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass
class Square:
    low_a: float
    high_a: float
    period_s: float
    duty: float
    bus_v: float

    @property
    def waveform(self) -> str:
        return f"square:{self.low_a},{self.high_a},{self.period_s},{self.duty}"

    def _charge(self, t_ns: int) -> float:
        period_ns = round(self.period_s * 1e9)
        whole, into = divmod(t_ns, period_ns)
        into_s, high_s = into * 1e-9, self.duty * self.period_s
        of_period = self.high_a * high_s + self.low_a * (self.period_s - high_s)
        return whole * of_period + self.low_a * into_s + (self.high_a - self.low_a) * min(into_s, high_s)

    def energy_j(self, t0_ns: int, t1_ns: int) -> float:
        return self.bus_v * (self._charge(t1_ns) - self._charge(t0_ns))


@dataclass
class Compared:
    what: str
    seconds: float
    expected_j: float
    energy_j: float
    u95_j: float

    @property
    def holds(self) -> bool:
        return abs(self.energy_j - self.expected_j) <= self.u95_j

    def __str__(self) -> str:
        error = self.energy_j / self.expected_j - 1
        return (
            f"{self.what}: {self.energy_j:.4f} J in {self.seconds:.3f} s, closed form {self.expected_j:.4f} J: "
            f"error {error:+.2%}, stated ± {self.u95_j / self.energy_j:.2%}"
        )


def compare(result: dict, rail: str, current: Square) -> list[Compared]:
    """Every interval of the timeline that has an energy, and their sum."""
    zero = result["t0_mono_ns"]
    intervals = result["timeline"][rail]
    total = {**result["total"][rail], "phase": "total", "rep": None,
             "t0_ns": intervals[0]["t0_ns"], "t1_ns": intervals[-1]["t1_ns"]}  # fmt: skip
    compared = []
    for interval in [*intervals, total]:
        if interval["energy_j"] is None:
            continue
        t0, t1 = zero + interval["t0_ns"], zero + interval["t1_ns"]
        rep = f" {interval['rep']}" if interval["rep"] else ""
        compared.append(
            Compared(interval["phase"] + rep, (t1 - t0) * 1e-9, current.energy_j(t0, t1),
                     interval["energy_j"], interval["energy_j_u95"])
        )  # fmt: skip
    return compared


def served(log: Path, address: str, t0_ns: int, t1_ns: int) -> list[float]:
    """The shunt's voltages that were read from a chip in a time, in volts."""
    codes = []
    for line in log.read_text().splitlines():
        match line.split():
            case [at, of, "1", code] if of == address and t0_ns <= int(at) < t1_ns:
                value = int(code)
                codes.append((value - 65536 if value >= 32768 else value) * 10e-6)
    return codes
