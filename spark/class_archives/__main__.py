"""`python -m spark.class_archives`: record both archives."""

from spark.class_archives.record import main

main()
