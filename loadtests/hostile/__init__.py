"""Clients that mean harm, and honest ones beside them."""
