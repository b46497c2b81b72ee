"""margin_platform/documents: books and figures as JSON."""
