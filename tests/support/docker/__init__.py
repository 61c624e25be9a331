"""Jobs with containers, and engines for them."""
