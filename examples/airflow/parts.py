"""What the trial needs around Airflow and logpump: a stand-in for CloudWatch Logs, a database, a look into /proc."""

import contextlib
import http.client
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import sqlalchemy

REGION = "us-east-1"


class Failed(Exception):
    """A check that did not hold."""


def wait_for(what, seconds, look):
    deadline = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > deadline:
            raise Failed(f"{what}: not within {seconds} s")
        time.sleep(0.2)
    return found


def end(process, seconds=10):
    """Ends what we started, by its id."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Standin:
    def __init__(self, program, groups, log):
        groups = [word for group in groups for word in ("--group", group)]
        self.process = subprocess.Popen(
            [program, "--listen", "127.0.0.1:0", "--latency", "25ms", *groups],
            stdin=subprocess.DEVNULL,
            stdout=log.open("wb"),
            stderr=subprocess.STDOUT,
        )
        said = wait_for("the stand-in's address", 10, lambda: log.read_text().partition("listening on ")[2].strip())
        self.url = said.splitlines()[0]

    def call(self, operation, request):
        """Signed in form only, which suffices for an access key that the stand-in does not know."""
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=60)
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        scope = f"{stamp[:8]}/{REGION}/logs/aws4_request"
        headers = {
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": f"Logs_20140328.{operation}",
            "X-Amz-Date": stamp,
            "Authorization": f"AWS4-HMAC-SHA256 Credential=READER/{scope}, "
            f"SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature={'0' * 64}",
        }
        connection.request("POST", "/", json.dumps(request), headers)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        if answer.status != 200:
            raise Failed(f"{operation} {request}: {answer.status} {body[:500]}")
        return json.loads(body)

    def streams(self, group):
        request, streams = {"logGroupName": group}, []
        while True:
            page = self.call("DescribeLogStreams", request)
            streams += [stream["logStreamName"] for stream in page["logStreams"]]
            if "nextToken" not in page:
                return streams
            request["nextToken"] = page["nextToken"]

    def messages(self, group, stream):
        request = {"logGroupName": group, "logStreamName": stream, "startFromHead": True}
        messages = []
        while True:
            page = self.call("GetLogEvents", request)
            messages += [event["message"] for event in page["events"]]
            if page["nextForwardToken"] == request.get("nextToken"):
                return messages
            request["nextToken"] = page["nextForwardToken"]


class Sqlite:
    def __init__(self, place):
        self.url = f"sqlite:///{place}/airflow.db"

    def prepared(self):
        with sqlalchemy.create_engine(self.url).connect() as connection:
            connection.execute(sqlalchemy.text("PRAGMA journal_mode=WAL"))

    def end(self):
        pass


class Postgres:
    """One of our own in `place`, with a socket and no port. It refuses to be root."""

    def __init__(self, place):
        bins = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        if not bins:
            raise Failed("PostgreSQL is not here, and Airflow 2's DAG processor refuses SQLite; install the package postgresql")
        owner = [] if os.getuid() else ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        data, self.sockets = place / "postgres", tempfile.mkdtemp(prefix="airflow-trial-")
        quiet = {"stdin": subprocess.DEVNULL, "stdout": (place / "postgres.log").open("wb"), "stderr": subprocess.STDOUT}
        new = not data.exists()
        data.mkdir(mode=0o700, exist_ok=True)
        if owner:
            user = pwd.getpwnam("postgres")
            for path in (self.sockets, data, *data.rglob("*")):
                os.chown(path, user.pw_uid, user.pw_gid)
        if new:
            words = ("-U", "airflow", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C")
            subprocess.run([*owner, bins[-1] / "initdb", "-D", data, *words], check=True, timeout=120, cwd="/", **quiet)
        settings = ("listen_addresses=", f"unix_socket_directories={self.sockets}", "fsync=off", "max_connections=200")
        words = [word for setting in settings for word in ("-c", setting)]
        self.process = subprocess.Popen([*owner, bins[-1] / "postgres", "-D", data, *words], cwd="/", **quiet)
        self.url = f"postgresql+psycopg2://airflow@/postgres?host={self.sockets}"
        wait_for("PostgreSQL", 60, self.answers)

    def answers(self):
        try:
            sqlalchemy.create_engine(self.url).connect().close()
        except sqlalchemy.exc.OperationalError:
            return False
        return True

    def prepared(self):
        pass

    def end(self):
        # Fast shutdown.
        self.process.send_signal(signal.SIGINT)
        end(self.process, 20)
        shutil.rmtree(self.sockets, ignore_errors=True)


class Sidecar(threading.Thread):
    """Says its status to a port every two seconds."""

    def __init__(self):
        super().__init__(daemon=True)
        self.status = "healthy"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.start()

    def run(self):
        while True:
            # A datagram that nobody takes is told to the next send, and means nothing.
            with contextlib.suppress(OSError):
                self.socket.sendto(self.status.encode(), ("127.0.0.1", self.port))
            time.sleep(2)


class Statsd(threading.Thread):
    """Counts by name."""

    def __init__(self):
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.socket.getsockname()[1]
        self.counts = {}
        self.start()

    def run(self):
        while True:
            for line in self.socket.recv(65536).decode().splitlines():
                name, _, value = line.partition(":")
                self.counts[name] = self.counts.get(name, 0) + int(float(value.split("|")[0]))


def marked(mark, place):
    """Processes whose environment has our mark (a changed title may have overwritten it) or that run in `place`:
    {pid: state and command}."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            ours = mark.encode() in (entry / "environ").read_bytes().split(b"\0")
            if ours or (entry / "cwd").readlink() == place:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                state = (entry / "stat").read_text().rpartition(") ")[2][:1]
                found[int(entry.name)] = f"{state} {command[:120]}"
        except OSError:
            pass
    return found
