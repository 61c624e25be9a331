"""What people use instead. Scripts of their own environment, which the bench sets up."""
