"""effects (and the rest) -> one HTML file, and the tables beside it."""
