"""Programs of this project as processes."""
