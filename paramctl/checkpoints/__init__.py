"""A checkpoint's file -> what it holds and where it lies, without torch and without running any of it."""
