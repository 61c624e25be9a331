"""`cancel-exec`, the launcher on the job's side. It holds no credential."""
