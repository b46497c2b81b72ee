"""The layout, the sources and the documents keep their promises."""
