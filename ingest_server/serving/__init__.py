"""The server's parts put together, started, watched and stopped."""
