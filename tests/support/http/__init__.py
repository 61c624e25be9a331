"""The gateway's API: callers, the contract as a table, hostile requests."""
