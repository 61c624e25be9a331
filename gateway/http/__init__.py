"""Requests and responses, whatever they ask for: connections, errors, request ids."""
