"""From outside and from inside: clocks of the system, and an agent in each process; nothing is concluded here."""
