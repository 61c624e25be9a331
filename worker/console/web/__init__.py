"""What all pages have in common: connections, sessions, rendering, errors."""
