"""The worker's side of a launch: claims, completions, lost runs, and the socket for launchers."""
