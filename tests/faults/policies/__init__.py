"""A package, so that pytest stops the broker after the last of these tests."""
