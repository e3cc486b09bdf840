"""The versioned fingerprints of the built-in tasks' official items, and what makes them."""
