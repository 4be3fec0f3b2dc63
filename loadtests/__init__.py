"""Load scenarios against a real server and a real PostgreSQL: `python -m loadtests SCENARIO`."""
