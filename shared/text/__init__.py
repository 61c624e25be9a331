"""Texts for people: escaped, in words, from what people write."""
