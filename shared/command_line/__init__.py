"""What both command lines share: errors in one line, output that controls no terminal."""
