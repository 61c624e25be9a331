"""Programs with less than root's rights, and in namespaces of their own."""
