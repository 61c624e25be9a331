"""`cancel-exec` from outside: jobs, users, and workers that answer as a test wants."""
