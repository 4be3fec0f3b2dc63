"""An item becomes one line of JSON."""
