"""A report -> table, JSON, CSV or Markdown; without torch, and without looking at the terminal."""
