"""Files that clients have uploaded: their bytes on disk, and a SQLite database of what they are."""
