"""Command in, process tree stopped and proved gone, outcome recorded.

Nothing is imported here: every launcher imports this package and must start fast.
"""
