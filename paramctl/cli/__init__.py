"""The command line: options, commands, and the only place that prints or looks at the terminal."""
