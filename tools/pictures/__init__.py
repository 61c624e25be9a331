"""The pictures of the console in docs/console.md, made of real runs, letters and hosts."""
