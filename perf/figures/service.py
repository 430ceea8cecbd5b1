"""A stand-in server of a run's own, with the trouble that the run is about."""

import json
import subprocess
import urllib.request

from . import scene
from .processes import Failure, Process

ANSWER_S_MAX = 60


class Service:
    """Ends with its `with`. What it holds goes with it."""

    def __init__(self, stage, options=(), tls=False):
        self.stage = stage
        self.certificate = stage.fresh("authority.pem") if tls else None
        command = [stage.programs["cloudwatch-standin"], "--listen", "127.0.0.1:0", "--group", scene.GROUP, *options]
        command += ["--tls", "--cert-out", str(self.certificate)] if tls else []
        self.process = Process(command, env=stage.environment, stdout=subprocess.PIPE, text=True)
        line = self.process.child.stdout.readline()
        if not line.startswith("listening on "):
            self.process.stop()
            raise Failure("cloudwatch-standin does not say where it listens")
        self.url = line.removeprefix("listening on ").strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stop()

    @property
    def environment(self):
        """With the region, and what a client needs to trust it: AWS's SDKs for Rust and for Python have variables of their own."""
        trust = {name: str(self.certificate) for name in ("SSL_CERT_FILE", "AWS_CA_BUNDLE") if self.certificate}
        return self.stage.environment | {"AWS_DEFAULT_REGION": self.stage.environment["AWS_REGION"]} | trust

    def read_back(self):
        """Every line as a reader of the log group gets it, judged by logpump-load: its findings."""
        command = [self.stage.programs["logpump-load"], "verify", "--log-group", scene.GROUP, "--endpoint-url", self.url]
        done = subprocess.run([*command, "--json"], env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=scene.RUN_S_MAX, check=False)  # fmt: skip
        if done.returncode not in (0, 1):
            raise Failure(f"the lines cannot be read back: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def calm(self):
        """Ends all faults, latency among them."""
        if not self.certificate:
            urllib.request.urlopen(f"{self.url}/fault", data=b"", timeout=ANSWER_S_MAX).close()
