"""What one request may bring."""

from pydantic import BaseModel, Field


class LimitSettings(BaseModel):
    """Items, bytes and seconds of one batch."""

    max_batch_items: int = Field(10_000, ge=1, description="items a batch may have")
    max_batch_bytes: int = Field(16 * 2**20, ge=1024, description="bytes a batch may have as it is sent")
    max_decoded_bytes: int = Field(64 * 2**20, ge=1024, description="bytes a batch may have once decoded")
    max_item_bytes: int = Field(8 * 2**20, ge=1024, description="bytes one item may have")
    max_item_values: int = Field(
        500_000, ge=1000, description="values one item may have, counted as the commas outside of its texts"
    )
    max_batch_values: int = Field(
        2_000_000, ge=1000, description="values a batch may have, counted as the commas outside of its texts"
    )
    receive_timeout: float = Field(60.0, gt=0, description="seconds in which a batch's body must have arrived")
