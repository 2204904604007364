"""What the program does, as ordered steps over ports."""
