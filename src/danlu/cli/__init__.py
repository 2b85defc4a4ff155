"""The command line: one file for each verb; nothing heavy is imported until a command runs."""
