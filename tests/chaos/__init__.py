"""kill -9 of the streams' processes and of the broker under load."""
