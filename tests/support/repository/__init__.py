"""What the repository's own files say: code, documents, units."""
