"""Sources -> examples: reading, cleaning, and the built-in pool."""
