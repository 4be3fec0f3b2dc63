"""Scenario `soak`: steady load with faults for a long time, and whether anything grows."""
