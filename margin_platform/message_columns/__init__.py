"""Messages of a topic as columns: read at once where nothing about them needs a second look."""
