"""A Python environment under target/ for what comes from PyPI: made once, used again."""

import os
import subprocess
import sys
from pathlib import Path

from . import scene

PACKAGES = ["boto3==1.44.5", "watchtower==3.4.0", "py-spy==0.4.3"]
MAKE_S_MAX = 600


class Missing(Exception):
    """It cannot be made; the text says why."""


def directory():
    target = Path(os.environ.get("CARGO_TARGET_DIR", "target"))
    return scene.REPOSITORY / target / "perf-venv"


def program(name):
    """The path of a program of the environment, which is made if need be."""
    place = directory()
    noted = place / "installed"
    if not noted.is_file() or noted.read_text(encoding="utf-8").split() != PACKAGES:
        print("making a Python environment with", ", ".join(PACKAGES), file=sys.stderr)
        attempt([sys.executable, "-m", "venv", "--clear", str(place)], "python3 with its venv module is needed")
        pip = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        attempt([*pip, *PACKAGES], "pip cannot install from PyPI")
        noted.write_text("\n".join(PACKAGES), encoding="utf-8")
    return str(place / "bin" / name)


def attempt(command, why):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=MAKE_S_MAX, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Missing(f"{why}: {error}") from error
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or "it says nothing").splitlines()
        raise Missing(f"{why}: {said[-1]}")
