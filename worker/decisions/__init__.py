"""What a command means: its run is locked, it is judged, and the decision is recorded."""
