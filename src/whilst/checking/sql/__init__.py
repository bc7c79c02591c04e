"""Database transactions in each and any interleaving, on a real database."""
