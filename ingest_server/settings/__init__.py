"""Every setting of the server, declared once: flags, INGEST_* variables, ingest.toml and the docs follow from here.

A setting belongs to the file of its idea; `whole.Settings` is all of them together.
"""

from ingest_server.settings.names import (
    WITHOUT_FLAG,
    config_from_environment,
    environment_name,
    flag_name,
    option_name,
)
from ingest_server.settings.tables import TableSettings
from ingest_server.settings.whole import DEFAULT_CONFIG, Settings

__all__ = [
    "DEFAULT_CONFIG",
    "WITHOUT_FLAG",
    "Settings",
    "TableSettings",
    "config_from_environment",
    "environment_name",
    "flag_name",
    "option_name",
]
