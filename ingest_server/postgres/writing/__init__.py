"""Rows into a table: COPY, staging, patches, and the search for those that it refuses."""
