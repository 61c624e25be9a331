"""`cancel-exec` and the socket on which it talks to the worker of its host."""
