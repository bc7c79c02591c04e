"""From a question to its verdict: `checker` answers one, also in other processes; `operations` asks one a case."""
