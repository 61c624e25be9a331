"""Connections in number, and wrong services."""
