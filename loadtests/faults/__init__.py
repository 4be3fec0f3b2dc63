"""The fault laboratory: real processes, a seeded schedule of faults, and a count at the end."""
