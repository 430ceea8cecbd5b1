"""Airflow imports this module by its name. With 3.0, LocalExecutor keeps tasks' lines in files; later it copies them to
stdout, as 2 does for AIRFLOW_IS_EXECUTOR_CONTAINER: here all do."""

try:
    from airflow.sdk.execution_time.supervisor import supervise
except ImportError:
    pass
else:
    supervise.__kwdefaults__["subprocess_logs_to_stdout"] = True
