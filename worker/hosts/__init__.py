"""Runner hosts: registered, kept alive by heartbeats, listed, abandoned."""
