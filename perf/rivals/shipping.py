"""What both Python readers share: children behind pipes, watchtower behind Python's logging, and what they cost at the end.

Re-creations of two patterns, not anybody's code: see poller.py and thread.py.
"""

import argparse
import json
import logging
import os
import resource
import subprocess
import sys

import boto3
import watchtower

SEND_INTERVAL_S = 10


class Child:
    def __init__(self, number, command, options, client):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        self.pipe = self.process.stdout
        os.set_blocking(self.pipe.fileno(), False)
        self.handler = watchtower.CloudWatchLogHandler(
            log_group_name=options.group, log_stream_name=f"{options.name}-{number}", boto3_client=client,
            send_interval=SEND_INTERVAL_S, create_log_group=False,
        )  # fmt: skip
        self.log = logging.getLogger(f"child-{number}")
        self.log.propagate = False
        self.log.setLevel(logging.INFO)
        self.log.addHandler(self.handler)
        self.lines = 0

    def take(self):
        """One line, if there is one: whether there was. What a pipe has of an unfinished line counts as a line."""
        line = self.pipe.readline()
        if not line:
            return False
        self.lines += 1
        self.log.info(line.decode(errors="replace").rstrip())
        return True

    def ended(self):
        return self.process.poll() is not None


def run(read_all):
    """`read_all(children)` reads until all have ended. Then what is queued is sent, and the report is written."""
    commands = split(sys.argv[1:])
    parser = argparse.ArgumentParser()
    parser.add_argument("--group", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--endpoint-url", required=True)
    parser.add_argument("--report", required=True)
    options = parser.parse_args(commands.pop(0))
    client = boto3.client("logs", endpoint_url=options.endpoint_url)
    children = [Child(number, command, options, client) for number, command in enumerate(commands, 1)]
    read_all(children)
    for child in children:
        child.handler.close()
    used = resource.getrusage(resource.RUSAGE_SELF)
    with open(options.report, "w", encoding="ascii") as out:
        json.dump({"cpu_s": used.ru_utime + used.ru_stime, "lines": sum(child.lines for child in children)}, out)
    # Threads that still try to send may go on for minutes.
    os._exit(0)


def split(arguments):
    """Own arguments, then a list for each lone `--`."""
    lists = [[]]
    for argument in arguments:
        if argument == "--":
            lists.append([])
        else:
            lists[-1].append(argument)
    return lists
