"""Jobs that use a Docker engine, engines of a test's own, and looks past both of them."""
