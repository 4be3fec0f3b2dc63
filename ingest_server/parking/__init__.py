"""Tables whose batches wait aside."""
