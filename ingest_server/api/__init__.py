"""The HTTP contract, one room a subject."""
