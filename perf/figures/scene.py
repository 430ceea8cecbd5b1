"""The programs, the stand-in server, and one run: a writer under logpump, into `cat >/dev/null`, into /dev/null."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from . import processes
from .processes import Failure, Process

REPOSITORY = Path(__file__).resolve().parents[2]
PROGRAMS = ("logpump", "cloudwatch-standin", "logpump-load")
GROUP = "perf"
# Readers of their own: the first pump, told which engine to use.
ENGINES = ("uring", "epoll")
LATENCY = "25ms"
# Every wait ends: far beyond what any run here takes.
RUN_S_MAX = 300
BUILD_S_MAX = 1800


def clean_environment():
    """Nothing of the user's AWS or logpump settings, nor a proxy, may change the figures."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR", "PYENV_ROOT") if name in os.environ}
    return kept | {
        "AWS_ACCESS_KEY_ID": "demo",
        "AWS_SECRET_ACCESS_KEY": "demo",
        "AWS_REGION": "us-east-1",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def cargo(*arguments):
    command = ["cargo", *arguments]
    done = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, timeout=BUILD_S_MAX, check=False)
    if done.returncode != 0:
        raise Failure(f"{' '.join(command)}: exit code {done.returncode}")
    return done.stdout


def executables(*arguments):
    """What cargo builds, by target name."""
    built = {}
    for line in cargo(*arguments, "--message-format=json-render-diagnostics").splitlines():
        message = json.loads(line)
        if message.get("executable"):
            built[message["target"]["name"]] = message["executable"]
    return built


class Scene:
    """Holds the stand-in server and the scratch directory; `with` ends and removes them."""

    def __init__(self, bin_dir, rivals):
        self.programs = {name: str(bin_dir / name) for name in PROGRAMS} if bin_dir else self._build()
        missing = [path for path in self.programs.values() if not os.access(path, os.X_OK)]
        if missing:
            raise Failure(f"not executable: {', '.join(missing)}")
        # Several builds of logpump, measured side by side.
        self.pumps = {"logpump": self.programs["logpump"]} | rivals
        self.environment = clean_environment()
        self.runs = 0

    @staticmethod
    def _build():
        print("building release binaries", file=sys.stderr)
        return executables("build", "--release", "--bins")

    def __enter__(self):
        self.scratch = tempfile.TemporaryDirectory(prefix="logpump-perf-")
        self.directory = Path(self.scratch.name)
        self.standin = self._start_standin()
        return self

    def __exit__(self, *_):
        self.standin.stop()
        self.scratch.cleanup()

    def _start_standin(self):
        command = [self.programs["cloudwatch-standin"], "--listen", "127.0.0.1:0", "--count-only"]
        command += ["--latency", LATENCY, "--group", GROUP]
        standin = Process(command, env=self.environment, stdout=subprocess.PIPE, text=True)
        line = standin.child.stdout.readline()
        if not line.startswith("listening on "):
            standin.stop()
            raise Failure("cloudwatch-standin does not say where it listens")
        self.endpoint = line.removeprefix("listening on ").strip()
        return standin

    def fresh(self, name):
        self.runs += 1
        return self.directory / f"{self.runs}-{name}"

    def writer(self, arguments):
        """The load generator's command, and the file with what it measured about itself."""
        times = self.fresh("times.json")
        return [self.programs["logpump-load"], "write", "--times", str(times), *arguments], times

    # ---- one run -----------------------------------------------------------------------------

    def start_pump(self, pump, commands, sink="cloudwatch"):
        """logpump over `commands`; its report and its stderr go into files."""
        report, said = self.fresh("report.json"), self.fresh("stderr.txt")
        program = self.programs["logpump"] if pump in ENGINES else self.pumps[pump]
        command = [program, "run", "--report", str(report), "--name", f"{pump}-{self.runs}"]
        # Several writers at full speed are more than two cores deliver: they wait, and none of their lines is dropped, or
        # left to the next run.
        waits = ["--when-full", "block", "--spool-max", "0", "--drain-timeout", "100s"]
        command += ["--engine", pump, *waits] if pump in ENGINES else []
        command += ["--sink", "null"] if sink == "null" else ["--log-group", GROUP, "--endpoint-url", self.endpoint]
        for child in commands:
            command += ["--", *child]
        with open(said, "wb") as stderr:
            process = Process(command, env=self.environment, stdout=subprocess.DEVNULL, stderr=stderr)
        process.report, process.said = report, said
        return process

    def under_pump(self, pump, commands, sink="cloudwatch", watch=None):
        """Runs `commands` under logpump to the end. `watch(pid)` may look at it meanwhile and is stopped after it."""
        standin_before_s = processes.cpu_s(self.standin.pid)
        process = self.start_pump(pump, commands, sink)
        watcher = watch(process.pid) if watch else None
        process.wait(RUN_S_MAX)
        if watcher:
            watcher.stop()
        return self.account(process) | {"standin_cpu_s": processes.cpu_s(self.standin.pid) - standin_before_s}

    def account(self, process):
        """What a finished logpump cost, once it is clear that it delivered everything."""
        if process.child.returncode != 0:
            raise Failure(f"logpump: exit code {process.child.returncode}: {tail(process.said)}")
        report = json.loads(process.report.read_text(encoding="utf-8"))
        total = report["total"]
        if not report["ledger_ok"] or total["delivered"] != total["read"]:
            raise Failure(f"not everything was delivered: {json.dumps(total)}: {tail(process.said)}")
        return {
            "pump_cpu_s": report["cpu_ms"] / 1000,
            "pump_wall_s": process.wall_s,
            "delivered_lines": total["delivered"]["lines"],
            "calls": total["calls"],
            "retries": total["retries"],
            "engine": report["engine"],
        }

    def into_cat(self, command):
        """`command | cat >/dev/null`, as a shell sets it up."""
        with open("/dev/null", "wb") as null:
            cat = Process(["cat"], env=self.environment, stdout=null, stdin=subprocess.PIPE)
        writer = Process(command, env=self.environment, stdout=cat.child.stdin)
        cat.child.stdin.close()
        try:
            writer.checked(RUN_S_MAX)
        finally:
            cat.wait(RUN_S_MAX)
        return {"reader_cpu_s": cat.cpu_s}

    def into_null(self, command):
        with open("/dev/null", "wb") as null:
            Process(command, env=self.environment, stdout=null).checked(RUN_S_MAX)
        return {}

    def into(self, reader, command, **options):
        if reader == "cat":
            return self.into_cat(command)
        if reader == "null":
            return self.into_null(command)
        return self.under_pump(reader, [command], **options)


def tail(path, bytes_max=600):
    return path.read_text(encoding="utf-8", errors="replace")[-bytes_max:].strip().replace("\n", " | ")
