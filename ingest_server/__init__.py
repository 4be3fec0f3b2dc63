"""The ingestion server."""
