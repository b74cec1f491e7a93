"""Sound: its sources, and the way to the one format."""
