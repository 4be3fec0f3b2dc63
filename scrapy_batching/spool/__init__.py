"""The crawl's items on disk."""
