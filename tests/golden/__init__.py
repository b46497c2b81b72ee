"""The worked cases of the rulebook, and the rules that every test names."""
