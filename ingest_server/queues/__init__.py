"""Queues behind the door `ingest_server.ports.BatchQueue`."""
