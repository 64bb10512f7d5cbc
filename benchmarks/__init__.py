"""How long paramctl takes, and how much memory, beside what a user would do instead: `python -m benchmarks`."""
