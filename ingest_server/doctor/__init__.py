"""`ingest-server doctor`: looks at everything that the server will need, changes nothing, and says what to do."""
