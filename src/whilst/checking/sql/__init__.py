"""Database transactions in each and any interleaving, on a real database.

`check_sql` performs them; nothing of what Python code shares is looked at here (that is `whilst.check`), only
statements and what the database makes of their order.
"""

from __future__ import annotations

from whilst.checking.sql.checker import check_sql

__all__ = ["check_sql"]
