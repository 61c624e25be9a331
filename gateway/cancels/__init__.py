"""A cancel request: from its body to the confirmed command and the answer."""
