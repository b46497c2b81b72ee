"""What must hold for random books, events and orders."""
