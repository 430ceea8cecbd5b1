"""What Airflow is told, by the names of its variables without their AIRFLOW__."""

from pathlib import Path

from parts import free_port

HERE = Path(__file__).resolve().parent


def of(place, major, port, database):
    web = f"http://127.0.0.1:{port}"
    return {
        "CORE__DAGS_FOLDER": HERE / "dags",
        "CORE__PLUGINS_FOLDER": HERE / "plugins",
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__PARALLELISM": 6,
        "CORE__LOAD_EXAMPLES": False,
        "CORE__DAGS_ARE_PAUSED_AT_CREATION": False,
        "CORE__DAGBAG_IMPORT_TIMEOUT": 20,
        "CORE__EXECUTION_API_SERVER_URL": f"{web}/execution/",
        "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": True,
        "DATABASE__SQL_ALCHEMY_CONN": database,
        "DATABASE__LOAD_DEFAULT_CONNECTIONS": False,
        "API_AUTH__JWT_SECRET": "a-secret-of-the-trial-and-of-nothing-else-0123456789abcdef012345",
        "API__PORT": port,
        "API__HOST": "127.0.0.1",
        "API__BASE_URL": web,
        "API__WORKERS": 1,
        "WEBSERVER__WEB_SERVER_PORT": port,
        "WEBSERVER__WEB_SERVER_HOST": "127.0.0.1",
        "WEBSERVER__WORKERS": 2,
        "API__SECRET_KEY" if major > 2 else "WEBSERVER__SECRET_KEY": "a-secret-of-the-trial",
        "SCHEDULER__STANDALONE_DAG_PROCESSOR": True,
        "SCHEDULER__MIN_FILE_PROCESS_INTERVAL": 15,
        "SCHEDULER__ENABLE_HEALTH_CHECK": False,
        "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": 15,
        "LOGGING__BASE_LOG_FOLDER": place / "home" / "logs",
        "LOGGING__DAG_PROCESSOR_LOG_TARGET": "stdout",
        "LOGGING__WORKER_LOG_SERVER_PORT": free_port(),
        "LOGGING__TRIGGER_LOG_SERVER_PORT": free_port(),
        "LOGGING__COLORED_CONSOLE_LOG": False,
        "USAGE_DATA_COLLECTION__ENABLED": False,
    }


def celery(place):
    """Settings for a broker that is a folder: between processes of one machine it does what others do between several."""
    for folder in ("broker", "broker-control"):
        (place / folder).mkdir()
    options = "CELERY_BROKER_TRANSPORT_OPTIONS"
    return {
        "CORE__EXECUTOR": "CeleryExecutor",
        "CELERY__BROKER_URL": "filesystem://",
        f"{options}__DATA_FOLDER_IN": place / "broker",
        f"{options}__DATA_FOLDER_OUT": place / "broker",
        f"{options}__CONTROL_FOLDER": place / "broker-control",
        "CELERY__RESULT_BACKEND": f"db+sqlite:///{place}/results.db",
        "CELERY__WORKER_CONCURRENCY": 4,
    }
