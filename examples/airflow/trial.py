"""Real Airflow under logpump, and everything that it wrote compared with what a reader of the log groups finds: see run.sh.

trial.py VERSION AIRFLOW_BIN LOGPUMP_BIN PLACE [CASE...]
"""

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from pathlib import Path

import sqlalchemy

import airflow_settings
import expected
from parts import REGION, Failed, Postgres, Sidecar, Sqlite, Standin, Statsd, end, free_port, marked, wait_for

HERE = Path(__file__).resolve().parent
PARTS = ("scheduler", "dag-processor", "triggerer")
STREAMS = {
    "scheduler": "scheduler_", "dag-processor": "dag-processor-manager.log", "triggerer": "triggerer_", "web": "webserver_",
    "worker": "worker_",
}
GROUPS = {part: f"airflow-trial-{part}" for part in STREAMS}
SOURCES = {"SCHEDULER": "scheduler", "DAGPROCESSOR": "dag-processor", "TRIGGERER": "triggerer", "WEBSERVER": "web", "WORKER": "worker"}

# unending: a task goes on after SIGTERM (LocalExecutor waits for it), until SIGKILL; else it ends some seconds later.
# recorded: a copy of what Airflow wrote is made beside logpump. Without it nothing stands between the two, and the lines of
# Airflow's main processes are known by their numbers.
CASES = {
    "take-over": {"recorded": True, "levels": {"DAGPROCESSOR": "WARNING", "TRIGGERER": "ERROR"}},
    "take-over-direct": {"unending": True},
    "wrapped": {"recorded": True, "wrapped": True},
    "wrapped-direct": {"wrapped": True, "unending": True},
    "worker": {"recorded": True, "roles": ("worker", "scheduler"), "health": True},
    "hybrid": {"recorded": True, "roles": ("hybrid",), "levels": {"WORKER": "WARNING"}},
}
# Not a case: it makes the database that the cases begin with.
MIGRATION, TEMPLATE = "migrate", "database"
ENDS = {"heavy": "success", "deferred": "success", "failing": "failed", "timed_out": "failed"}
CASE_SECONDS_MAX = 480
WEB_SECONDS_MAX = 180
RUNS_SECONDS_MAX = 200
# So long a task goes on after SIGTERM.
TASK_SECONDS = 3
# --grace 60s or the images' 90 s, 130 s for a hybrid container's worker, --eof-grace 2s, --drain-timeout 10s, 2 s.
STOP_SECONDS_MAX = {"wrapped": 3 * 74, "hybrid": 144}
STOP_SECONDS_MAX_ELSE = 104
# It asks, and judges, once a minute; a check that hangs is ended after another.
HEALTH_SECONDS_MAX = 150


class Case:
    def __init__(self, name, version, airflow, logpump, place):
        self.name, self.version, self.major = name, version, int(version.split(".")[0])
        settings = CASES.get(name, {})
        self.recorded = settings.get("recorded", False)
        self.wrapped = settings.get("wrapped", False)
        self.unending = settings.get("unending", False)
        self.levels = settings.get("levels", {})
        self.roles = settings.get("roles", ("scheduler",))
        self.has_worker = bool({"worker", "hybrid"} & set(self.roles))
        self.health = settings.get("health", False)
        self.parts = (*PARTS, *(["worker"] if self.has_worker else []))
        self.airflow, self.logpump, self.place = airflow, logpump, place
        self.mark = f"LOGPUMP_TRIAL={os.getpid()}-{name}"
        self.processes, self.said, self.standin, self.database = [], [], None, None

    def say(self, text):
        self.said.append(text)
        print(f"  {text}", flush=True)

    # ---- before ------------------------------------------------------------------------------

    def prepare(self):
        shutil.rmtree(self.place, ignore_errors=True)
        # A database that is ready saves each further case half a minute.
        template = self.place.parent / TEMPLATE
        if template.exists():
            shutil.copytree(template, self.place)
        for folder in ("home", "bin", "recorded", "written", "reports", "spool"):
            (self.place / folder).mkdir(parents=True)
        self.standin = Standin(self.logpump / "cloudwatch-standin", GROUPS.values(), self.place / "standin.log")
        self.statsd = Statsd()
        # Airflow 2's standalone DAG processor refuses SQLite.
        self.database = Postgres(self.place) if self.major == 2 else Sqlite(self.place)
        shim = self.place / "bin" / "airflow"
        if self.recorded:
            shim.write_text(f'#!/bin/sh\nexec {sys.executable} -S {HERE / "recorder.py"} "$@"\n')
            shim.chmod(0o755)
        else:
            shim.symlink_to(self.airflow)
        self.port = free_port()
        self.env = self.environment()
        if self.name == MIGRATION:
            log = (self.place / "migrate.log").open("wb")
            quiet = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
            subprocess.run([self.airflow, "db", "migrate"], env=self.env, cwd=self.place, check=True, timeout=200, **quiet)
            self.database.prepared()
            self.database.end()
            self.database = None
            # Whole or not at all, for later runs take it as it is.
            made = self.place / TEMPLATE
            made.mkdir()
            for name in ("airflow.db", "postgres"):
                if (self.place / name).exists():
                    (self.place / name).rename(made / name)
            made.rename(template)
        else:
            self.engine = sqlalchemy.create_engine(self.database.url)

    def environment(self):
        kept = ("HOME", "LANG", "TERM", "TZ", "USER")
        env = {name: os.environ[name] for name in kept if name in os.environ}
        env["LANG"] = "C.UTF-8"
        env["PATH"] = f"{self.place / 'bin'}:{self.airflow.parent}:/usr/local/bin:/usr/bin:/bin"
        name, _, value = self.mark.partition("=")
        env |= {name: value, "TRIAL_AIRFLOW": str(self.airflow)}
        for folder in ("recorded", "written", "reports"):
            env[f"TRIAL_{folder.upper()}"] = str(self.place / folder)
        # The service's own variables.
        env |= {"AIRFLOW_VERSION": self.version, "PYTHONUNBUFFERED": "1"}
        for source, part in SOURCES.items():
            arn = f"arn:aws:logs:{REGION}:000000000000:log-group:{GROUPS[part]}:*"
            for what, text in (("LOG_GROUP_ARN", arn), ("LOGS_ENABLED", "true"), ("LOG_LEVEL", self.levels.get(source, "INFO"))):
                env[f"MWAA__LOGGING__AIRFLOW_{source}_{what}"] = text
        env |= {
            "AWS_ACCESS_KEY_ID": "demo",
            "AWS_SECRET_ACCESS_KEY": "demo",
            "AWS_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL": self.standin.url,
            "LOGPUMP_SPOOL_DIR": str(self.place / "spool"),
            "LOGPUMP_STATSD": self.statsd.address,
        }
        settings = airflow_settings.of(self.place, self.major, self.port, self.database.url)
        if self.has_worker:
            settings |= airflow_settings.celery(self.place)
        env |= {f"AIRFLOW__{name}": str(value) for name, value in settings.items()}
        env |= {"AIRFLOW_HOME": str(self.place / "home"), "AIRFLOW_IS_EXECUTOR_CONTAINER": "true"}
        return env | {"PYTHONPATH": str(HERE), "PYTHONDONTWRITEBYTECODE": "1", "NO_COLOR": "1"}

    # ---- while it runs -----------------------------------------------------------------------

    def start(self, name, command, env=None):
        log = (self.place / f"{name}.log").open("wb")
        process = subprocess.Popen(
            list(map(str, command)), env=self.env | (env or {}), cwd=self.place, stdin=subprocess.DEVNULL, stdout=log,
            stderr=subprocess.STDOUT, start_new_session=True,
        )
        self.processes.append(process)
        return process

    def run(self):
        pump = self.logpump / "logpump"
        report = self.place / "reports"
        web = self.start("webserver", [pump, "mwaa", "webserver", "--report", report / "web.json"])
        # Tasks of Airflow 3 cannot run without it.
        wait_for("the webserver", WEB_SECONDS_MAX, lambda: self.answers(web))
        others = []
        if self.wrapped:
            arn = f"arn:aws:logs:{REGION}:000000000000:log-group:{GROUPS['scheduler']}:*"
            wrap = f"{pump} run --log-group {arn} --grace 60s --drain-timeout 10s"
            entry = self.start("scheduler", [sys.executable, "-S", HERE / "entrypoint.py", *PARTS], {"WRAP": wrap})
        else:
            entry, *others = [
                self.start(role, [pump, "mwaa", role, *self.options(role), "--report", report / f"{role}.json"], self.sidecars(role))
                for role in self.roles
            ]
        began = time.monotonic()
        try:
            wait_for("the DAG runs' ends", RUNS_SECONDS_MAX, lambda: self.ran(entry, web, *others))
        except Failed as failed:
            raise Failed(f"{failed}: {self.states()}")
        self.say(f"DAG runs have ended as they should after {time.monotonic() - began:.0f} s: {self.states()}")
        wait_for("lines of the endless task", 60, lambda: any((self.place / "written").glob("endless-*")))
        while_running = len(marked(self.mark, self.place))
        if self.health:
            self.ask_about_health()
            why = "red from the sidecar"
        else:
            entry.send_signal(signal.SIGTERM)
            why = "SIGTERM"
        began = time.monotonic()
        if not self.unending:
            time.sleep(TASK_SECONDS)
            (self.place / "written" / "end").touch()
        most = STOP_SECONDS_MAX.get("wrapped" if self.wrapped else self.roles[0], STOP_SECONDS_MAX_ELSE)
        try:
            code = entry.wait(most)
        except subprocess.TimeoutExpired:
            raise Failed(f"{why} did not end it within {most} s: {marked(self.mark, self.place)}")
        self.say(f"{why} ended it, {while_running} processes in all, within {time.monotonic() - began:.1f} s, exit code {code}")
        if self.has_worker:
            # Warm: what a worker had begun it finished.
            wait_for("the endless task's own end", 30, lambda: self.tasks("endless") == ["success"])
            self.say("the worker's last task ended by itself: success")
        if self.health and code != 70:
            raise Failed(f"a worker that was stopped for its health, and ended well: 70 is its code, and not {code}")
        for process in (*others, web):
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            try:
                code = process.wait(STOP_SECONDS_MAX_ELSE)
            except subprocess.TimeoutExpired:
                raise Failed(f"SIGTERM did not end {process.args[:3]} inside its bound")
            self.say(f"mwaa {process.args[2]} ended within {time.monotonic() - began:.1f} s, exit code {code}")
        if orphans := marked(self.mark, self.place):
            # The stand-in and the database are not theirs.
            orphans = {pid: command for pid, command in orphans.items() if pid not in (self.standin.process.pid,)}
        if orphans:
            raise Failed(f"they were left behind: {orphans}")
        self.say("no process is left")

    def options(self, role):
        return ["--database-check"] if self.health and role == "worker" else []

    def sidecars(self, role):
        if not self.health or role != "worker":
            return {}
        self.sidecar = Sidecar()
        name = "MWAA__HEALTH_MONITORING__"
        return {
            f"{name}ENABLE_SIDECAR_HEALTH_MONITORING": "true",
            f"{name}SIDECAR_HEALTH_PORT": str(self.sidecar.port),
            "AIRFLOW__MWAA__WORKER_REPLACEMENT_THRESHOLD_SECONDS": "600",
        }

    def ask_about_health(self):
        """The database's check, also while no one gets a connection; then the sidecar says red."""
        told = lambda what: lambda: what in self.plogs()
        wait_for("a check of the database", HEALTH_SECONDS_MAX, told("CONNECTION_HEALTHY."))
        if self.major == 2:
            self.database.process.send_signal(signal.SIGSTOP)
            wait_for("a check that fails", HEALTH_SECONDS_MAX, told("CONNECTION_BECAME_UNHEALTHY."))
            self.database.process.send_signal(signal.SIGCONT)
            wait_for("a check that succeeds again", HEALTH_SECONDS_MAX, told("CONNECTION_BECAME_HEALTHY."))
        self.sidecar.status = "red"
        wait_for("the worker's stop", HEALTH_SECONDS_MAX, told("Restarting process..."))
        self.say(f"the service was told: {self.plogs()}")

    def plogs(self):
        said = [json.loads(line) for line in (self.place / "worker.log").read_text().splitlines() if line.startswith("{")]
        return [line["message"].rpartition("[worker] ")[2].rpartition(" is ")[2] for line in said]

    def tasks(self, dag):
        with self.engine.connect() as connection:
            words = sqlalchemy.text("SELECT state FROM task_instance WHERE dag_id = :dag")
            return [state for state, in connection.execute(words, {"dag": dag})]

    def states(self):
        with self.engine.connect() as connection:
            return dict(tuple(row) for row in connection.execute(sqlalchemy.text("SELECT dag_id, state FROM dag_run")))

    def alive(self, *processes):
        for process in processes:
            if process.poll() is not None:
                raise Failed(f"{process.args[:3]} ended by itself with code {process.returncode}: see {self.place}/*.log")

    def answers(self, web):
        """Each request is also a line of its access log."""
        self.alive(web)
        try:
            path = "/health" if self.major == 2 else "/api/v2/monitor/health"
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=20).read()
        except (OSError, http.client.HTTPException):
            return False
        return True

    def ran(self, entry, web, *others):
        self.alive(entry, web, *others)
        self.answers(web)
        states = self.states()
        for dag, state in states.items():
            if state in ("success", "failed") and ENDS.get(dag, state) != state:
                raise Failed(f"DAG {dag}: {state}, and not {ENDS[dag]}")
        return all(states.get(dag) == state for dag, state in ENDS.items())

    # ---- after -------------------------------------------------------------------------------

    def found(self, part):
        group = GROUPS["scheduler"] if self.wrapped and part != "web" else GROUPS[part]
        prefix = f"{part}_" if self.wrapped and part != "web" else STREAMS[part]
        streams = [stream for stream in self.standin.streams(group) if stream.startswith(prefix)]
        if len(streams) != 1:
            raise Failed(f"{part}: one stream {prefix}..., and not {streams} in {group}")
        return self.standin.messages(group, streams[0])

    def check(self):
        self.check_reports()
        for part in (*self.parts, "web"):
            messages = self.found(part)
            if self.recorded:
                self.compare(part, messages)
            else:
                self.count(part, messages)
        errors = {name.removeprefix("airflow.mwaa.error_log."): n for name, n in self.statsd.counts.items() if "error_log" in name}
        self.say(f"known errors, as counted for StatsD: {dict(sorted(errors.items()))}")
        if not any(name.startswith("Scheduler") for name in errors) and not self.wrapped:
            raise Failed("a failed DAG run is a known error, and none was counted")

    def check_reports(self):
        for path in sorted((self.place / "reports").iterdir()):
            report = json.loads(path.read_text())
            total = report["total"]
            if not report["ledger_ok"] or total["dropped"] or total["rejected"] or total["in_memory"]["lines"] or total["spooled"]["lines"]:
                raise Failed(f"{path}: {json.dumps(total)}")
            self.say(f"{path.stem}: {total['read']['lines']} lines read, {total['delivered']['lines']} delivered, "
                     f"filtered {({why: n['lines'] for why, n in total['filtered'].items()})}")

    def compare(self, part, messages):
        """Every line that Airflow wrote, in its order."""
        name = {"web": "webserver" if self.major == 2 else "api-server", "worker": "celery-worker"}.get(part, part)
        data = (self.place / "recorded" / name).read_bytes()
        source = next(source for source, known in SOURCES.items() if known == part)
        level = self.levels.get(source, "INFO")
        wanted = list(expected.events(data, level, as_mwaa=not self.wrapped or part == "web"))
        if wanted != messages:
            at = next((n for n, (a, b) in enumerate(zip(wanted, messages)) if a != b), min(len(wanted), len(messages)))
            raise Failed(
                f"{part}: {len(messages)} messages in the stream, {len(wanted)} expected; the first that differs is number "
                f"{at}: {messages[at : at + 1]} and not {wanted[at : at + 1]}"
            )
        self.say(f"{part}: all {len(wanted)} messages of {len(data)} bytes at level {level} stand in its stream, in order")
        bare = Counter(expected.shape(line) for line in expected.lines_of(data) if expected.level_of(line) is None)
        with (self.place / f"without-level-{part}.txt").open("w") as file:
            for text, count in bare.most_common():
                print(count, text, file=file)

    def count(self, part, messages):
        """The numbered lines of the part's main process: none is missing, none is there twice."""
        if part == "web":
            self.say(f"{part}: {len(messages)} messages")
            return
        notes = [note for note in (self.place / "written").glob(f"{part}-*") if re.fullmatch(rf"{part}-\d+", note.name)]
        if not notes:
            raise Failed(f"{part} wrote no numbered line")
        for note in notes:
            pattern = re.compile(rf"loud {re.escape(note.name)} (\d+) [0-9a-f]* end")
            numbers = [int(match[1]) for message in messages for match in pattern.finditer(message)]
            least = int(note.read_bytes())
            if self.major == 2 and part == "triggerer":
                # Its lines go through a queue of its own, which changes their order and loses the last ones at its end.
                numbers.sort()
                least = 0
            if numbers != list(range(len(numbers))) or len(numbers) < least:
                raise Failed(f"{note.name}: {least} lines were written; {len(numbers)} are in the stream, out of order or with gaps")
            self.say(f"{part}: {len(numbers)} numbered lines, {least} of them known to be written, none missing or doubled; "
                     f"{len(messages)} messages")

    def clean_up(self):
        for process in self.processes:
            end(process, 15)
        for pid, command in marked(self.mark, self.place).items():
            if self.standin and pid != self.standin.process.pid:
                print(f"  ending {pid}: {command}", flush=True)
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        if self.standin:
            end(self.standin.process)
        if self.database:
            self.database.end()


def late(*_):
    raise Failed(f"the case took more than {CASE_SECONDS_MAX} s")


def main():
    version, airflow, logpump, place, *names = sys.argv[1:]
    failures = []
    signal.signal(signal.SIGALRM, late)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if wrong := set(names) - set(CASES):
        sys.exit(f"{', '.join(wrong)}: no such case; there are {', '.join(CASES)}")
    first = () if (Path(place) / TEMPLATE).exists() else (MIGRATION,)
    for name in (*first, *(names or CASES)):
        print(f"Airflow {version}, {name}:", flush=True)
        case = Case(name, version, Path(airflow).absolute(), Path(logpump).absolute(), Path(place).absolute() / name)
        signal.alarm(CASE_SECONDS_MAX)
        try:
            case.prepare()
            if name != MIGRATION:
                case.run()
                case.check()
        except (Failed, subprocess.SubprocessError) as failed:
            failures.append(name)
            print(f"  FAILED: {failed}", flush=True)
        finally:
            signal.alarm(0)
            case.clean_up()
    print(f"FAILED: {', '.join(failures)}" if failures else "all checks passed", flush=True)
    sys.exit(bool(failures))


main()
