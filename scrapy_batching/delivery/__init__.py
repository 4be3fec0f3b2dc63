"""From a closed batch to the server's word on it: who waits, who is sent, and what becomes of it."""
