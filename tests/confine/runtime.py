"""Runtimes that misbehave, by name: what a hostile or broken worker would try."""

import ctypes
import fcntl
import json
import mmap
import os
import resource
import signal
import socket
import sys
import time


def say(**message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def hello():
    say(type="hello", protocol=1, pid=os.getpid(), name="python", revision="0")


def request():
    return json.loads(sys.stdin.readline())


def fail(message):
    say(type="error", code="told", message=message)


def load(description=""):
    """Says hello and that it has loaded; returns the path of the model."""
    hello()
    path = request()["path"]
    say(
        type="load",
        t1_ns=time.monotonic_ns(),
        engine=dict(
            name="python", revision="0", cpu_features=[], threads=1, n_ctx=1, n_batch=1,
            n_ubatch=1, flash_attn=None, sampler="none", layers_offloaded=0, devices=[],
        ),
        model=dict(
            arch="none", description=description, params=1, size_bytes=1, n_ctx_train=1, n_layer=1,
        ),
        resident_before=None,
        memory={},
    )
    return path


def linger():
    time.sleep(1000)


# What must be out of reach.

libc = ctypes.CDLL(None, use_errno=True)


def call(number, *arguments):
    if libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments)) < 0:
        raise OSError(ctypes.get_errno(), "refused")


def in_child(attempt):
    """Tries it in a child, which leads no group."""
    child = os.fork()
    if child == 0:
        try:
            attempt()
        except OSError:
            os._exit(1)
        os._exit(0)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0:
        raise OSError("refused")


def connect(path):
    socket.socket(socket.AF_UNIX).connect(path)


def prctl(option, value):
    if libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError("refused")


def give_child():
    """Makes a child of the daemon, which would stay as a zombie."""
    libc.syscall.restype = ctypes.c_long
    flags = ctypes.c_long(0x8000 | signal.SIGCHLD)
    child = libc.syscall(ctypes.c_long(SYS["clone"]), flags, 0, 0, 0, 0)
    if child == 0:
        os._exit(0)
    if child < 0:
        raise OSError(ctypes.get_errno(), "refused")


def any_of(attempt, values):
    """Passes if one of them does."""
    assert values
    passed = False
    for value in values:
        try:
            attempt(value)
            passed = True
        except OSError:
            pass
    if not passed:
        raise OSError("refused")


def owner(daemon):
    """Makes the daemon the owner of a pipe, with SIGKILL for the news that it can be read."""
    readable, writable = os.pipe()
    fcntl.fcntl(readable, fcntl.F_SETOWN, daemon)
    fcntl.fcntl(readable, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(readable, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    os.write(writable, b"x")
    # Landlock lets it own the pipe, and does not deliver the signal.
    if os.getppid() == daemon:
        raise OSError("it lives")


def litter(folder):
    path = os.path.join(folder, f"jouled-{os.getpid()}")
    open(path, "w").close()
    os.unlink(path)


def attempts(model):
    models = os.path.dirname(model)
    state = os.path.join(os.path.dirname(models), "state")
    database = os.path.join(state, "jouled.db")
    daemon = os.getppid()
    tasks = f"/proc/{daemon}/task"
    samplers = [
        int(task) for task in os.listdir(tasks) if "sampler" in open(f"{tasks}/{task}/comm").read()
    ]
    new = os.path.join(models, "new.gguf")
    return {
        "TCP": lambda: socket.socket(socket.AF_INET),
        "TCP over IPv6": lambda: socket.socket(socket.AF_INET6),
        "UDP": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
        "packets": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
        "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
        "virtual sockets": lambda: socket.socket(socket.AF_VSOCK),
        "datagrams to sockets of others": lambda: socket.socketpair(
            socket.AF_UNIX, socket.SOCK_DGRAM
        ),
        "datagrams by another name": lambda: socket.socketpair(
            socket.AF_UNIX, socket.SOCK_RAW | socket.SOCK_CLOEXEC
        ),
        "the system bus": lambda: connect("/run/dbus/system_bus_socket"),
        "listing the state": lambda: os.listdir(state),
        "reading the queue": lambda: open(database).read(1),
        "reading the queue through /proc": lambda: open("/proc/1/root" + database).read(1),
        "writing the state": lambda: open(os.path.join(state, "new"), "w"),
        "truncating the queue": lambda: os.truncate(database, 0),
        "reading the configuration": lambda: open(os.path.join(models, "../jouled.toml")),
        "reading /etc/passwd": lambda: open("/etc/passwd"),
        "adding a model": lambda: open(new, "w"),
        "changing a model": lambda: open(model, "r+"),
        "truncating a model": lambda: os.truncate(model, 0),
        "removing a model": lambda: os.unlink(model),
        "renaming a model": lambda: os.rename(model, new),
        "linking a model": lambda: os.link(model, new),
        "a link among the models": lambda: os.symlink("/", new),
        "closing a model": lambda: os.chmod(model, 0),
        "giving a model away": lambda: os.chown(model, 1, 1),
        "dating a model": lambda: os.utime(model, (1, 1)),
        "writing to /tmp": lambda: litter("/tmp"),
        "the daemon's environment": lambda: open(f"/proc/{daemon}/environ").read(1),
        "the daemon's memory": lambda: open(f"/proc/{daemon}/mem", "rb"),
        "the daemon's files": lambda: os.readlink(f"/proc/{daemon}/fd/0"),
        "tracing the daemon": lambda: call(SYS["ptrace"], 16, daemon, 0, 0),
        "reading the daemon's memory": lambda: call(SYS["process_vm_readv"], daemon, 0, 0, 0, 0, 0),
        "signalling the daemon": lambda: os.kill(daemon, 0),
        "stopping the daemon": lambda: os.kill(daemon, signal.SIGSTOP),
        "killing the daemon by a pipe": lambda: owner(daemon),
        "signalling the daemon's group": lambda: os.killpg(os.getpgid(daemon), 0),
        "limiting the daemon": lambda: resource.prlimit(
            daemon, resource.RLIMIT_NOFILE, (4096, 4096)
        ),
        "slowing the daemon": lambda: os.setpriority(os.PRIO_PROCESS, daemon, 19),
        "slowing the sampler": lambda: any_of(
            lambda thread: os.setpriority(os.PRIO_PROCESS, thread, 19), samplers
        ),
        "moving the sampler": lambda: any_of(
            lambda thread: os.sched_setaffinity(thread, os.sched_getaffinity(0)), samplers
        ),
        "idling the sampler": lambda: any_of(
            lambda thread: os.sched_setscheduler(thread, os.SCHED_IDLE, os.sched_param(0)),
            samplers,
        ),
        "a session of its own": lambda: in_child(os.setsid),
        "a group of its own": lambda: in_child(lambda: os.setpgid(0, 0)),
        "giving the daemon a child": give_child,
        "outliving the daemon": lambda: prctl(1, 0),
        "a user namespace": lambda: call(SYS["unshare"], 0x10000000),
        "mounting": lambda: call(SYS["mount"], 0, 0, 0, 0, 0),
        "memory that stays": lambda: call(SYS["shmget"], 0, 4096, 0o1600),
        "semaphores that stay": lambda: call(SYS["semget"], 0, 1, 0o1600),
        "messages that stay": lambda: call(SYS["msgget"], 0, 0o1600),
        "io_uring": lambda: call(425, 1, 0),
        "rebooting": lambda: call(SYS["reboot"], 0, 0, 0),
        "changing limits upwards": lambda: resource.setrlimit(resource.RLIMIT_CORE, (1, 1)),
    }


SYS = {
    "x86_64": dict(
        ptrace=101, process_vm_readv=310, unshare=272, mount=165, reboot=169,
        shmget=29, semget=64, msgget=68, clone=56,
    ),
}.get(os.uname().machine, dict(
    ptrace=117, process_vm_readv=270, unshare=97, mount=40, reboot=142,
    shmget=194, semget=190, msgget=186, clone=220,
))


def reach():
    """Tries everything, and tells what it could do."""
    hello()
    reached = []
    for name, attempt in attempts(request()["path"]).items():
        try:
            attempt()
        # The second is how Python says it of limits.
        except (OSError, ValueError):
            continue
        reached.append(name)
    fail("reached: " + json.dumps(reached))


def needs():
    """What a runtime needs works."""
    hello()
    model = request()["path"]
    open(model, "rb").read(4)
    mapped = mmap.mmap(-1, 1 << 20)
    mapped.close()
    left, right = socket.socketpair()
    left.send(b"x")
    right.recv(1)
    os.sched_setaffinity(0, os.sched_getaffinity(0))
    os.nice(1)
    child = os.posix_spawnp("sleep", ["sleep", "1000"], os.environ)
    os.kill(child, signal.SIGTERM)
    os.waitpid(child, 0)
    open("/dev/null", "w").write("x")
    os.urandom(1)
    open("/proc/self/status").read()
    fail("it has what it needs")


def extras():
    """What the administrator has added works: argv has a file, a folder and a port."""
    hello()
    request()
    readable, writable, port = sys.argv[2:5]
    text = open(readable).read()
    path = os.path.join(writable, "made")
    open(path, "w").write(text)
    socket.create_connection(("127.0.0.1", int(port))).close()
    fail("extras work: " + open(path).read())


# What costs one job.


def flood_stdout():
    hello()
    while True:
        sys.stdout.write("x" * 100 + "\n")


def flood_stderr():
    load()
    request()
    for _ in range(20_000):
        sys.stderr.write("x" * 1000 + "\n")
    sys.exit(3)


def long_line():
    hello()
    while True:
        sys.stdout.write("x" * 65536)


def closes_stdout():
    hello()
    os.close(1)
    linger()


def long_reason():
    hello()
    request()
    fail("\0" * 100_000 + "that was all")


def boasts():
    load("x" * 500_000)
    linger()


def phases():
    load()
    request()
    t = time.monotonic_ns()
    while True:
        say(type="phase", phase="other", rep=None, t0_ns=t, t1_ns=t, tokens=0)


def repetitions():
    load()
    request()
    rep = 0
    while True:
        rep += 1
        say(
            type="rep", rep=rep, prompt_tokens=1, output_tokens=1, stop_reason="length",
            prompt_sha256=None, output_sha256=None, text="x" * 1000,
        )


def tokens():
    load()
    request()
    first = 0
    while True:
        t = time.monotonic_ns()
        say(type="tokens", rep=1, t0_ns=t, first=first, t_ns=[t] * 1000)
        first += 1000


def early_tokens():
    """Tells of a run before it is asked for one, while nobody listens."""
    load()
    t = time.monotonic_ns()
    tokens = dict(type="tokens", rep=1, t0_ns=t, first=0, t_ns=[t] * 50_000)
    line = json.dumps(tokens, separators=(",", ":")) + "\n"
    while True:
        sys.stdout.write(line)


def crashes():
    hello()
    os.kill(os.getpid(), signal.SIGSEGV)


def aborts():
    hello()
    os.abort()


def loops():
    load()
    while True:
        pass


def deaf_children():
    """Leaves children that heed no signal, and ends."""
    hello()
    for _ in range(8):
        if os.fork() == 0:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            linger()
    os._exit(4)


def forks():
    """Forks for as long as it can."""
    hello()
    for _ in range(200):
        try:
            if os.fork() == 0:
                linger()
        except OSError:
            break
    linger()


def greedy():
    """Takes memory once the file of argv is there, until it has 512 MiB."""
    hello()
    request()
    while not os.path.exists(sys.argv[2]):
        time.sleep(0.01)
    held = []
    for _ in range(128):
        held.append(bytearray(os.urandom(4096)) * 1024)
    fail(f"it got {len(held)} pieces")


def starved():
    hello()
    request()
    bytearray(1 << 30)


globals()[sys.argv[1]]()
