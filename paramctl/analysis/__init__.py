"""Records -> reports: pure functions, without torch."""
