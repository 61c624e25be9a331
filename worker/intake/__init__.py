"""The inbox: commands are consumed, decided on in batches, and acknowledged."""
