"""What an account can sell or deposit to comply again, and the proof that less would not do."""
