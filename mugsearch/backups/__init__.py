"""Backups of the data, backups of the keys, and the restore that purges again before it opens the service."""
