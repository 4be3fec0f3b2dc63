"""What commands ask: of a running server, and of its database beside it."""
