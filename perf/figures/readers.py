"""Who reads the children's output, and how each is started. A reader here is what runs between a start and its end: some
processes, what they cost, and whether they ship anything.
"""

import json
import shlex
import shutil
import subprocess
import time

from . import processes, scene, venv
from .processes import Failure, Process

# After its writers have ended: for what is queued.
END_S_MAX = 120
# Shippers of stdin are there before what they read, or their start would be measured.
START_S = {"fluent-bit": 1, "vector": 1}
TITLES = {
    "null": "/dev/null",
    "cat": "cat >/dev/null",
    "poller": "Python, main loop",
    "thread": "Python, thread a child",
    "fluent-bit": "Fluent Bit",
    "vector": "Vector",
    "uring": "logpump, io_uring",
    "epoll": "logpump, epoll",
}
SHIP_NOTHING = ("null", "cat")
RIVALS = scene.REPOSITORY / "perf" / "rivals"


def missing(names, stage):
    """Why readers cannot be measured here, by name."""
    reasons = {}
    for name in names:
        try:
            if name in ("poller", "thread"):
                venv.program("python")
            if name in ("fluent-bit", "vector") and not shutil.which(name):
                reasons[name] = f"{name} is not on PATH"
            if name == "uring" and (why := no_uring(stage)):
                reasons[name] = why
        except venv.Missing as why:
            reasons[name] = str(why)
    return reasons


def no_uring(stage):
    command = [stage.programs["logpump"], "run", "--engine", "uring", "--sink", "null", "--", "true"]
    done = subprocess.run(command, env=stage.environment, capture_output=True, text=True, timeout=60, check=False)
    return None if done.returncode == 0 else done.stderr.strip()


def start(name, stage, service, cell, commands):
    """`service` is None for readers that ship nothing."""
    if name == "null":
        return Alone(stage, commands)
    if name in ("cat", "fluent-bit", "vector"):
        return Piped(name, stage, service, cell, commands)
    return Parent(name, stage, service, cell, commands)


class Running:
    """Its `processes` are the reader's; `cost` is known once `wait` has returned."""

    def __init__(self):
        self.processes, self.writers = [], []
        # Shown in the report, with one child's command.
        self.command = ""

    @property
    def pids(self):
        return [process.pid for process in self.processes]

    def wait(self, seconds):
        """Until the writers have ended, and then the reader."""
        for process in [*self.writers, *self.processes]:
            code = process.wait(seconds + END_S_MAX)
            if code == -9:
                raise Failure(f"{process.command[0]} did not end {END_S_MAX} s after it should have")
            if code != 0:
                raise Failure(f"{' '.join(process.command[:2])} ...: exit code {code}")

    def stop(self):
        for process in [*self.writers, *self.processes]:
            process.kill()
            if process.cpu_s is None:
                process.wait(10)

    def cost(self):
        return {"cpu_s": sum(process.cpu_s for process in self.processes)}


class Alone(Running):
    """The writers' own stdout is /dev/null."""

    def __init__(self, stage, commands):
        super().__init__()
        self.command = f"{shlex.join(commands[0])} >/dev/null"
        for command in commands:
            self.writers.append(Process(command, env=stage.environment, stdout=subprocess.DEVNULL))

    def cost(self):
        return {}


class Piped(Running):
    """A reader of stdin for each writer, as a shell sets it up."""

    def __init__(self, name, stage, service, cell, commands):
        super().__init__()
        reader = {"cat": lambda *_: ["cat"], "fluent-bit": fluent_bit, "vector": vector}[name]
        environment = service.environment if service else stage.environment
        for number in range(1, len(commands) + 1):
            reads = reader(stage, service, cell, f"{name}-{number}")
            options = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            self.processes.append(Process(reads, env=environment, **options))
        time.sleep(START_S.get(name, 0))
        for command, process in zip(commands, self.processes):
            self.writers.append(Process(command, env=stage.environment, stdout=process.child.stdin))
            process.child.stdin.close()
        self.command = f"{shlex.join(commands[0])} | {shlex.join(self.processes[0].command)}"


class Parent(Running):
    """It starts the writers itself."""

    def __init__(self, name, stage, service, cell, commands):
        super().__init__()
        self.report, self.said = stage.fresh("report.json"), stage.fresh("stderr.txt")
        own = logpump if name in ("uring", "epoll") else python
        reads = [*own(name, stage, service, cell), "--report", str(self.report)]
        self.command = shlex.join([*reads, "--", *commands[0]])
        for command in commands:
            reads += ["--", *command]
        with open(self.said, "wb") as stderr:
            self.processes.append(Process(reads, env=service.environment, stdout=subprocess.DEVNULL, stderr=stderr))

    def wait(self, seconds):
        try:
            super().wait(seconds)
        except Failure as failure:
            raise Failure(f"{failure}: {scene.tail(self.said)}") from failure

    def cost(self):
        """By its own account: the kernel's has the writers in it."""
        report = json.loads(self.report.read_text(encoding="utf-8"))
        if "cpu_s" in report:
            return {"cpu_s": report["cpu_s"]}
        if not report["ledger_ok"]:
            raise Failure(f"the ledger does not add up: {scene.tail(self.said)}")
        total = report["total"]
        told = {"dropped": sum(end["lines"] for end in total["dropped"].values()), "calls": total["calls"], "retries": total["retries"]}
        return {"cpu_s": report["cpu_ms"] / 1000, "engine": report["engine"], "told": told}


# ---- commands ----------------------------------------------------------------------------------


def logpump(engine, stage, service, cell):
    """While the service is well writers wait, rather than that lines go to the disk or are dropped; in trouble: its defaults."""
    command = [stage.programs["logpump"], "run", "--engine", engine, "--name", engine, "--log-group", scene.GROUP]
    command += ["--endpoint-url", service.url, "--drain-timeout", f"{END_S_MAX - 10}s"]
    well = cell.service == "healthy"
    command += ["--when-full", "block", "--spool-max", "0"] if well else ["--spool-dir", str(stage.fresh("spool"))]
    command += ["--ca-bundle", str(service.certificate)] if service.certificate else []
    return command + (["--gzip"] if cell.transport == "gzip" else [])


def python(name, _stage, service, _cell):
    command = [venv.program("python"), "-B", str(RIVALS / f"{name}.py"), "--group", scene.GROUP, "--name", name]
    return [*command, "--endpoint-url", service.url]


def fluent_bit(stage, service, _cell, stream):
    return ["fluent-bit", "-q", "-c", filled(stage, "fluent-bit.conf", service, stream), "-R", str(RIVALS / "fluent-bit-parsers.conf")]


def vector(stage, service, _cell, stream):
    return ["vector", "--quiet", "--config", filled(stage, "vector.toml", service, stream)]


def filled(stage, name, service, stream):
    """A configuration with what is of this run in the places of {words}."""
    text = (RIVALS / name).read_text(encoding="utf-8")
    scratch = stage.fresh("state")
    scratch.mkdir()
    words = {"port": service.url.rpartition(":")[2], "url": service.url, "group": scene.GROUP, "stream": stream, "scratch": scratch}
    for word, value in words.items():
        text = text.replace(f"{{{word}}}", str(value))
    path = stage.fresh(name)
    path.write_text(text, encoding="utf-8")
    return str(path)


def pss_mib(pids):
    return sum(processes.pss_mib(pid) for pid in pids)
