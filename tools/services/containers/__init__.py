"""Servers in containers of an engine that is reachable."""
