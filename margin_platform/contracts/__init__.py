"""The wire: the topics, their messages, and the check of every field."""
