"""What boto3.rs has AWS's Python SDK do: `boto3_client.py CASE URL`. Prints "all good" at the end."""

import sys
import time
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError


def client(url):
    config = Config(retries={"total_max_attempts": 1})
    return boto3.client("logs", endpoint_url=url, config=config)


def read_all(logs, **where):
    """The usual loop: forward until the token repeats."""
    events, token = [], None
    for _ in range(1000):
        more = {"nextToken": token} if token else {}
        page = logs.get_log_events(startFromHead=True, **where, **more)
        events += page["events"]
        if page["nextForwardToken"] == token:
            return events
        token = page["nextForwardToken"]
    raise AssertionError("no end after 1000 pages")


def round_trip(logs):
    group, stream = "/standin/boto3", "first ä [$1]"
    where = {"logGroupName": group, "logStreamName": stream}
    logs.create_log_group(logGroupName=group, tags={"team": "x"}, logGroupClass="STANDARD")
    logs.put_retention_policy(logGroupName=group, retentionInDays=7)
    logs.create_log_stream(**where)
    now = int(time.time() * 1000)
    messages = [f"line {n} \u00e4 \u20ac \U0001f600 \"quoted\" \\ \t \x00 end" for n in range(250)]
    for begin in range(0, 250, 100):
        batch = [{"timestamp": now + n, "message": messages[n]} for n in range(begin, min(begin + 100, 250))]
        answer = logs.put_log_events(logEvents=batch, **where)
        assert "rejectedLogEventsInfo" not in answer, answer
    events = read_all(logs, limit=60, **where)
    assert [event["message"] for event in events] == messages
    assert [event["timestamp"] for event in events] == [now + n for n in range(250)]

    old = [{"timestamp": now - 20 * 86_400_000, "message": "old"}, {"timestamp": now, "message": "new"}]
    answer = logs.put_log_events(logEvents=old, **where)
    assert answer["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 1, "expiredLogEventEndIndex": 1}, answer

    groups = [g for page in logs.get_paginator("describe_log_groups").paginate() for g in page["logGroups"]]
    assert [(g["logGroupName"], g["retentionInDays"]) for g in groups] == [(group, 7)], groups
    assert logs.list_tags_for_resource(resourceArn=groups[0]["logGroupArn"])["tags"] == {"team": "x"}
    for n in range(5):
        logs.create_log_stream(logGroupName=group, logStreamName=f"more-{n}")
    pages = logs.get_paginator("describe_log_streams").paginate(
        logGroupName=group, logStreamNamePrefix="more-", PaginationConfig={"PageSize": 2}
    )
    names = [s["logStreamName"] for page in pages for s in page["logStreams"]]
    assert names == [f"more-{n}" for n in range(5)], names
    logs.delete_log_stream(**where)
    logs.delete_log_group(logGroupName=group)


def exceptions(logs):
    raised = logs.exceptions
    event = {"timestamp": int(time.time() * 1000), "message": "x"}

    def expect(kind, call, **arguments):
        try:
            call(**arguments)
        except kind as error:
            return error.response["Error"]["Message"]
        raise AssertionError(f"{kind} was not raised")

    missing = {"logGroupName": "g", "logStreamName": "none", "logEvents": [event]}
    message = expect(raised.ResourceNotFoundException, logs.put_log_events, **missing)
    assert message == "The specified log stream does not exist.", message
    expect(raised.ResourceNotFoundException, logs.get_log_events, logGroupName="h", logStreamName="s")
    expect(raised.ResourceAlreadyExistsException, logs.create_log_group, logGroupName="g")
    expect(raised.InvalidParameterException, logs.create_log_group, logGroupName="a b")
    logs.create_log_stream(logGroupName="g", logStreamName="s")
    unordered = [event, {"timestamp": event["timestamp"] - 1, "message": "y"}]
    arguments = {"logGroupName": "g", "logStreamName": "s", "logEvents": unordered}
    expect(raised.InvalidParameterException, logs.put_log_events, **arguments)
    try:
        logs.filter_log_events(logGroupName="g")
    except ClientError as error:
        assert error.response["Error"]["Code"] == "UnknownOperationException", error
    else:
        raise AssertionError("an operation that is not served was answered")


def wrong_secret(logs):
    try:
        logs.describe_log_groups()
    except ClientError as error:
        assert error.response["Error"]["Code"] == "InvalidSignatureException", error
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 403
        assert len(error.response["ResponseMetadata"]["RequestId"]) == 36
    else:
        raise AssertionError("a wrong secret was accepted")


def faults(logs):
    where = {"logGroupName": "g", "logStreamName": "s"}
    logs.create_log_stream(**where)
    event = {"timestamp": int(time.time() * 1000), "message": "x"}

    def put_under(script):
        urllib.request.urlopen(f"{logs.meta.endpoint_url}/fault", data=script.encode()).close()
        return logs.put_log_events(logEvents=[event], **where)

    for script, raised in [
        ("throttle", logs.exceptions.ThrottlingException),
        ("503", logs.exceptions.ServiceUnavailableException),
        ("missing", logs.exceptions.ResourceNotFoundException),
        ("invalid:x", logs.exceptions.InvalidParameterException),
        ("unrecognized", logs.exceptions.UnrecognizedClientException),
        ("denied", logs.exceptions.AccessDeniedException),
        ("502:html", ClientError),
        ("reset", ConnectionClosedError),
        ("lost", ConnectionClosedError),
    ]:
        try:
            put_under(script)
        except raised:
            continue
        raise AssertionError(f"{script} raised nothing")
    # boto3 takes what it cannot read for an answer with nothing in it.
    assert "nextSequenceToken" not in put_under("bad-json")
    answer = put_under("reject:new=1")
    assert answer["rejectedLogEventsInfo"] == {"tooNewLogEventStartIndex": 0}, answer
    put_under("")
    assert len(read_all(logs, **where)) == 3, "lost, bad-json and the last one were stored"


if __name__ == "__main__":
    case, url = sys.argv[1:]
    cases = {"round_trip": round_trip, "exceptions": exceptions, "faults": faults, "wrong_secret": wrong_secret}
    cases[case](client(url))
    print("all good")
