"""What goes wrong, as notices to the firm."""
