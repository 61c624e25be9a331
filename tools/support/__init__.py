"""What tools and tests have in common: a system of its own, programs, launchers, processes."""
