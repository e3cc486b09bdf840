"""Files -> what stands in them: text unpacked, JSON records, rows of tables; and where a hub dataset's files are."""
