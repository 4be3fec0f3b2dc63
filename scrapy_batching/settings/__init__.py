"""The crawl's settings."""
