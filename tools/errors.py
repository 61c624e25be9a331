"""How a tool fails."""


class ToolError(Exception):
    """A tool cannot do its work; it prints the message, without a traceback, and ends with 2."""
