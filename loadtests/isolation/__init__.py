"""Scenario `isolation`: what bad items cost the batch that they come with."""
