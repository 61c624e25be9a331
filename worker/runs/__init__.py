"""`cancel-worker runs`: listings and reports."""
