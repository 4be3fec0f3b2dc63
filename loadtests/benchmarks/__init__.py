"""What `make bench` measures besides the scenario: the hot functions, one call at a time."""
