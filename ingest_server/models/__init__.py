"""Tables as pydantic models."""
