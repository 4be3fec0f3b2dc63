"""Scenario `outages`: what each fault of PostgreSQL costs batches, and how long they wait after it."""
