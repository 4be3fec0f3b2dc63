"""The schema `ingest`: what is settled, buried, retried, parked, and for how long it is kept."""
