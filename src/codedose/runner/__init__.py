"""Steps, their store, and who performs them when. Knows no science."""
