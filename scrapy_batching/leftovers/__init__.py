"""What earlier crawls left, sent."""
