"""What tests share: feeds, market days, the exact reference, a PostgreSQL server."""
