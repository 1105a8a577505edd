"""Parts that several screens share, or that would make a screen's file too long to read."""
