"""What of a crawl is missing, and where it was last seen."""
