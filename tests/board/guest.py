"""A guest in QEMU: its power, and the steps that its agent runs."""

import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

# Emulated code is slow, and slower on a busy machine; a limit that is met ends the test.
BOOT_S = 600
STEP_S = 660


class Failed(Exception):
    pass


class Guest:
    """`work` holds the disk of this run and the folder that the guest sees as /board."""

    def __init__(self, image: Path, work: Path, accelerator: str):
        self.image, self.work, self.accelerator = image, work, accelerator
        self.shared = work / "board"
        self.disk = work / "disk.img"
        subprocess.run(["cp", "--sparse=always", "--reflink=auto", image / "disk.img", self.disk], check=True)
        (self.shared / "out").mkdir(parents=True)
        here = Path(__file__).parent
        shutil.copytree(here / "steps", self.shared / "steps")
        self.boots = 0
        self.qemu = self.agent = self.lines = None

    def boot(self) -> tuple[float, float]:
        """Starts the machine; seconds until its agent is there, by this clock and the guest's."""
        self.boots += 1
        agent = self.work / "agent.sock"
        agent.unlink(missing_ok=True)
        console = open(self.work / f"console-{self.boots}.log", "wb")
        # An emulated CPU takes 2 ns for an instruction, whatever the host has to do beside it: a
        # busy host makes the test slower, and costs the guest's sampler no cycle.
        cpu = ["-accel", "tcg,thread=single", "-icount", "shift=1,sleep=on"]
        if self.accelerator != "tcg":
            cpu = ["-accel", self.accelerator]
        append = "root=/dev/vda rw console=ttyS0 panic=-1 mitigations=off net.ifnames=0"
        if self.accelerator == "tcg":
            # The emulated TSC drifts against the host's time.
            append += " clocksource=acpi_pm"
        begin = time.monotonic()
        # Each write of the guest is in the host's file when it is answered (writethrough):
        # what is lost with the machine is what the guest had in its own memory.
        self.qemu = subprocess.Popen(
            [
                "qemu-system-x86_64", *cpu,
                "-M", "q35", "-cpu", "max", "-m", "1024", "-smp", "1", "-nographic", "-no-reboot", "-nic", "none",
                "-kernel", self.image / "vmlinuz", "-initrd", self.image / "initrd", "-append", append,
                "-drive", f"file={self.disk},format=raw,if=virtio,cache=writethrough",
                "-virtfs", f"local,path={self.shared},mount_tag=board,security_model=none",
                "-chardev", f"socket,id=agent,path={agent},server=on,wait=off",
                "-device", "virtio-serial", "-device", "virtserialport,chardev=agent,name=board",
            ],
            stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.agent = self._connect(agent, begin + BOOT_S)
        self.lines = self.agent.makefile("r")
        answer = self._line(BOOT_S)
        if not answer.startswith("ready "):
            raise Failed(f"the agent said {answer!r}")
        return time.monotonic() - begin, float(answer.split()[1])

    def step(self, name: str, *arguments: str) -> list[str]:
        """Runs one step; the figures that it tells."""
        self.agent.sendall(f"{' '.join([name, *arguments])}\n".encode())
        answer = self._line(STEP_S)
        log = self.shared / "out" / f"{name}.log"
        kept = self.work / f"{self.boots}-{'-'.join([name, *arguments])}.log"
        shutil.copyfile(log, kept)
        said = log.read_text(errors="replace").splitlines()
        if answer != "done 0":
            tail = "\n    ".join(said[-15:])
            raise Failed(f"{name} ended with {answer!r}; {kept}:\n    {tail}")
        return [line.removeprefix("FACT ") for line in said if line.startswith("FACT ")]

    def diagnose(self):
        """What the guest can still say about itself, into the logs."""
        if not self.lines:
            return
        try:
            self.step("diagnose")
        except (Failed, OSError) as failure:
            print(f"no diagnosis: {failure}", file=sys.stderr)

    def cut_power(self):
        self.qemu.kill()
        self.qemu.wait()
        if self.agent:
            self.agent.close()

    def _connect(self, path: Path, deadline: float) -> socket.socket:
        while True:
            agent = socket.socket(socket.AF_UNIX)
            try:
                agent.connect(str(path))
                return agent
            except OSError:
                agent.close()
                if self.qemu.poll() is not None:
                    raise Failed(f"QEMU ended; {self.work}/console-{self.boots}.log says why")
                if time.monotonic() > deadline:
                    raise Failed("QEMU opened no port for the agent")
                time.sleep(0.1)

    def _line(self, seconds: float) -> str:
        self.agent.settimeout(seconds)
        try:
            line = self.lines.readline()
        except TimeoutError:
            raise Failed(f"no answer from the guest in {seconds} s; {self.work}/console-{self.boots}.log")
        if not line:
            raise Failed(f"the guest went away; {self.work}/console-{self.boots}.log")
        return line.strip()
