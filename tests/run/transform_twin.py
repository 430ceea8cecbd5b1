"""The transform of lines into log events, as naively as it can be said: `transform_twin.py expected FILE` prints what a
reader of the stream must find and what the report must count; `write FILE` is a child that writes FILE in odd pieces."""

import json
import os
import random
import sys

MESSAGE_BYTES_MAX = 1_048_550


def events_of(text):
    """Cut at character boundaries, as late as possible."""
    data = text.encode()
    while len(data) > MESSAGE_BYTES_MAX:
        end = MESSAGE_BYTES_MAX
        while data[end] & 0xC0 == 0x80:
            end -= 1
        yield data[:end].decode()
        data = data[end:]
    yield data.decode()


def expected(data):
    lines = [(line, len(line) + 1, True) for line in data.split(b"\n")]
    last = lines.pop()[0]
    if last:
        lines.append((last, len(last), False))
    events = []
    read, delivered, blank = ({"lines": 0, "bytes": 0} for _ in range(3))
    for line, raw_bytes, terminated in lines:
        if terminated and line.endswith(b"\r"):
            line = line[:-1]
        text = line.decode(errors="replace")
        if text:
            events.extend(events_of(text))
        for count in (read, delivered if text else blank):
            count["lines"] += 1
            count["bytes"] += raw_bytes
    return {"events": events, "read": read, "delivered": delivered, "blank": blank}


def write(data):
    chance = random.Random(11)
    while data:
        size = chance.choice([1, 2, 3, 100, 4096, 65_537, 1_000_000])
        written = os.write(1, data[: chance.randint(1, size)])
        data = data[written:]


if __name__ == "__main__":
    case, path = sys.argv[1:]
    with open(path, "rb") as file:
        data = file.read()
    if case == "expected":
        json.dump(expected(data), sys.stdout)
    else:
        write(memoryview(data))
