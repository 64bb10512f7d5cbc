"""Values -> files, written as the values come."""
