"""Tasks that log heavily, one that fails, one that waits in the triggerer, and one that logs until it is told to end, or killed."""

import time
from datetime import datetime, timedelta

try:
    from airflow.sdk import dag, task
except ImportError:
    from airflow.decorators import dag, task

import loud
from loud_trigger import Deferred

LINES = 2000
ONCE = {"schedule": "@once", "start_date": datetime(2025, 1, 1), "catchup": False}
# On a busy machine Airflow may fail by itself.
AGAIN = {"retries": 3, "retry_delay": timedelta(seconds=1)}


@dag(dag_id="heavy", **ONCE)
def heavy():
    @task(**AGAIN)
    def write(number):
        loud.write(f"task{number}", LINES)

    write.expand(number=[1, 2, 3])


@dag(dag_id="failing", **ONCE)
def failing():
    @task
    def fail():
        loud.write("failing", 100)
        raise RuntimeError("as it should")

    fail()


@dag(dag_id="timed_out", **ONCE)
def timed_out():
    @task(execution_timeout=timedelta(seconds=5))
    def sleep():
        time.sleep(120)

    sleep()


@dag(dag_id="deferred", **ONCE)
def deferred():
    Deferred(task_id="wait", **AGAIN)


@dag(dag_id="endless", **ONCE)
def endless():
    @task(**AGAIN)
    def write():
        loud.write_on("endless", until=loud.told_to_end)

    write()


heavy()
failing()
timed_out()
deferred()
endless()
loud.write("parsed", 100)
