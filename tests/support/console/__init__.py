"""A console under test, and who looks at it: a client without script, and a browser."""
