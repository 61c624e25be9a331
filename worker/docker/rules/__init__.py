"""What a job may ask of the Docker engine, and how its requests are marked as its run's."""
