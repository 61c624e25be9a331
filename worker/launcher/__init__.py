"""`cancel-exec`: what runs on the job's side. It holds no credential."""
