"""Live pages: a server-sent event when something has changed."""
