"""Scenario `pipeline`: what our pipeline costs a crawl, beside what others do with the same items."""
