"""`python -m margin_platform.cli`: the program `margin`, wherever its script is."""

from margin_platform.cli import main

main()
