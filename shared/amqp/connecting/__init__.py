"""Connections to a node of the broker: which one, with which credentials, and again when lost."""
