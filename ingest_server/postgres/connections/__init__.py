"""Connections to PostgreSQL, and what its errors mean."""
