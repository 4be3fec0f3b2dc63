"""How long the ledger remembers what is settled."""

from datetime import timedelta

from pydantic import BaseModel, Field

from ingest_server.model import Keeping


class KeepingSettings(BaseModel):
    """Retention; the contract promises the least values."""

    keep_details: float = Field(
        7.0,
        ge=7,
        le=36_500,
        description="days for which a settled batch can be asked for, with what was wrong with its items",
    )
    keep_names: float = Field(
        90.0,
        ge=90,
        le=36_500,
        description="days for which a settled batch's name is remembered: one that is sent again later is stored again",
    )

    @property
    def keeping(self) -> Keeping:
        """Both as times."""
        names = timedelta(days=self.keep_names)
        return Keeping(min(timedelta(days=self.keep_details), names), names)
