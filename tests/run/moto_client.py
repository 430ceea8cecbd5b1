"""moto's server and a reader of it: `moto_client.py serve` prints its URL and serves until stdin ends;
`moto_client.py read URL GROUP STREAM FILE` prints "all good" if the stream's messages are FILE's lines in order."""

import sys


def serve():
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    print(f"http://{host}:{port}", flush=True)
    sys.stdin.read()


def read(url, group, stream, path):
    import boto3

    logs = boto3.client("logs", endpoint_url=url)
    found, token = [], None
    for _ in range(1000):
        more = {"nextToken": token} if token else {}
        page = logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True, **more)
        found += [event["message"] for event in page["events"]]
        if page["nextForwardToken"] == token:
            break
        token = page["nextForwardToken"]
    else:
        raise AssertionError("no end after 1000 pages")
    with open(path, encoding="utf-8", newline="\n") as file:
        expected = file.read().split("\n")[:-1]
    assert len(found) == len(expected), f"{len(found)} messages instead of {len(expected)}"
    for number, (message, line) in enumerate(zip(found, expected)):
        assert message == line, f"message {number}: {message!r} instead of {line!r}"
    print("all good")


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve()
    else:
        read(*sys.argv[2:])
