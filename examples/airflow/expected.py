"""What must stand in a stream, from the bytes that Airflow wrote: said again here, in the simplest words, and compared."""

import re

LEVELS = {"DEBUG": 10, "NOTSET": 10, "INFO": 20, "WARNING": 30, "WARN": 30, "ERROR": 40, "EXCEPTION": 40, "CRITICAL": 50, "FATAL": 50}
NAME = "(?P<level>[A-Za-z]+)"
FORMS = [re.compile(form) for form in (
    # 3.0 and 2: [2025-01-01T00:00:00.000+0000] {file.py:1} INFO - text; lines about DAG files with one bracket more
    r"\[\d[^\]]*\] +(?:\[SOURCE:\w+\] +)?\{[^}]*\} +" + NAME + " +[-\u2013]",
    # 3.1 and newer: 2026-05-06T01:00:14.610844Z [info     ] text; 3.0, and tasks: 2026-05-06 01:00:14 [info     ] text
    r"(?:\d{4}-\d\d-\d\d(?:T\S+| \d\d:\S+)? +)?\[" + NAME + r" *\]",
    # gunicorn: [2025-01-01 00:00:00 +0000] [123] [INFO] text
    r"\[\d{4}-[^\]]*\] +\[\d+\] +\[" + NAME + r"\]",
    # Celery, under Airflow 2: [2025-01-01 00:00:00,000: INFO/MainProcess] text
    r"\[\d[^\]/]*: " + NAME + r"/[^\]]*\]",
    # uvicorn: INFO:     text
    "(?=[A-Z]+: +)(?=.{9} )" + NAME + ": +",
)]
NOISE = "The basic metric validator will be deprecated"


def level_of(text):
    for form in FORMS:
        if found := form.match(text):
            return LEVELS.get(found["level"].upper())
    return None


def lines_of(data):
    """Without their ends, as text, blank ones left out."""
    lines = data.split(b"\n")
    last = lines.pop()
    lines = [line.removesuffix(b"\r") for line in lines] + [last]
    return [line.decode(errors="replace") for line in lines if line]


def events(data, threshold=None, as_mwaa=True):
    """Wrapped, lines go as they are; `logpump mwaa` cuts white space at the end, and leaves out what is below the level."""
    level = LEVELS["INFO"]
    for text in lines_of(data):
        if not as_mwaa:
            yield text
            continue
        level = level_of(text) or level
        text = text.rstrip()
        if text and level >= LEVELS[threshold] and NOISE not in text:
            yield text


def shape(text):
    return re.sub(r"[0-9a-f]*[0-9][0-9a-f]*", "0", text)[:90]
