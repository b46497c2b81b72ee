"""The simulator: it finds what is put wrong and nothing else, and repeats itself to the byte."""
