"""An operator that waits in the triggerer, which logs meanwhile."""

import asyncio

from airflow.models import BaseOperator
from airflow.triggers.base import BaseTrigger, TriggerEvent

import loud


class Trigger(BaseTrigger):
    def serialize(self):
        return "loud_trigger.Trigger", {}

    async def run(self):
        # Not too quick: else the scheduler may find the task queued again before it has heard of its first end.
        for _ in range(20):
            loud.write("trigger", 50)
            await asyncio.sleep(0.5)
        yield TriggerEvent("done")


class Deferred(BaseOperator):
    def execute(self, context):
        self.defer(trigger=Trigger(), method_name="complete")

    def complete(self, context, event=None):
        loud.write("deferred", 100)
