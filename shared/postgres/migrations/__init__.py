"""Forward-only schema migrations, one numbered SQL file each."""
