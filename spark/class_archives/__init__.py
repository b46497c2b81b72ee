"""Archives of the Java classes of the broker and of Spark's driver, recorded for faster starts."""
