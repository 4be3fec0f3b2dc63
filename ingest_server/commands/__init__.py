"""The command line's commands, a file each; `ingest_server.cli` puts them together."""
