"""Runner hosts."""
