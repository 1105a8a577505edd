"""What must outlive a process: the database with its migrations, the catalogue, files that are whole or absent.

It does not know how anything was computed, and never reads an image or a network.
"""
