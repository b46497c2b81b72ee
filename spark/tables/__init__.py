"""The Delta tables of the streams: their columns, and how rows are appended."""
