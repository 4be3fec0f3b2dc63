"""What the server tells its operator."""

from pydantic import BaseModel, Field


class TellingSettings(BaseModel):
    """Logs."""

    log_level: str = Field(
        "info",
        pattern="(?i)^(debug|info|warning|error)$",
        description="debug, info, warning or error; debug logs every batch",
    )
    log_format: str = Field(
        "auto",
        pattern="^(auto|text|json)$",
        description="auto, text or json; auto: text on a terminal, else a JSON object a line",
    )
    access_log: bool = Field(False, description="on: a line in the log for every HTTP request")
