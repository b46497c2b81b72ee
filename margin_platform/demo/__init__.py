"""The demo: a book of accounts, a crisis replayed through the whole local stack, one screen of progress."""
