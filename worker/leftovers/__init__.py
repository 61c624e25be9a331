"""Processes that the command of a run leaves behind when it ends by itself."""
