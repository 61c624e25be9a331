"""Bodies as text, and other bodies for letters."""
