"""HTTP in, confirmed command out."""
