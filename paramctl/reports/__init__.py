"""What the commands answer: plain results that every format is rendered from, one file for each command.

The fields of `to_dict()` are the contract of the JSON output, version 1: extended, never changed.
"""
