"""`cancel-worker console`: web pages for operators."""
