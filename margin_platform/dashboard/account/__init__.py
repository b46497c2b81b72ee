"""One account taken apart: its figures at one moment, their history, their arithmetic, its letters."""
