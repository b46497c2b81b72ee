"""Figures as the text of messages, from columns."""
