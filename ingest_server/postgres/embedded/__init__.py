"""A PostgreSQL of our own, inside the data directory."""
