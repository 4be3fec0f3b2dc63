"""The PostgreSQL sink: decoding, writing, dead letters, the ledger, and the embedded server."""
