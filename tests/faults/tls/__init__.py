"""A package, so that pytest stops the servers after the last of these tests."""
