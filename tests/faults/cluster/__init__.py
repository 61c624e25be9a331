"""A package, so that pytest stops the cluster after the last of these tests."""
