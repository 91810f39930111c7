"""How often somebody may do what costs much or gives much away: counted in PostgreSQL, in windows of fixed length."""
