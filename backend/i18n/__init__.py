"""What the service says, in the language of the reader. English is what is written and stored; the edge translates."""
