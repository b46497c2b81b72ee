"""What the UI shows beside the data: texts of columns, links."""
