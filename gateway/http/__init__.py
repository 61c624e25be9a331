"""What all requests have in common: connections, errors, request ids."""
