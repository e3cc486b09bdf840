"""Where code stands in a text: in fenced blocks, and in runs of lines that look like it."""
