"""Scenario `corpora`: what others collected to break parsers, sent to the server in every place where a client may put it."""
