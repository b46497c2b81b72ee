"""spark/: the streams on a real broker and a real Spark session."""
