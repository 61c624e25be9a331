"""Programs for people who try and develop it: services, demo, bench, chaos, model. Not tests."""
