"""Scrapy items into PostgreSQL in batches, through an ingestion server."""

__version__ = "0.1.0"
