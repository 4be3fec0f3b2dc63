"""The HTTP contract, from the client's side."""
