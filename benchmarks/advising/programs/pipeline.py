"""Parsing is independent; the balance goes on from day to day."""
# EXPECT change parallel

import json

days = [json.dumps([[day, k, (day * k) % 97] for k in range(9000)]) for day in range(24)]


def parse(text):
    rows = [{"day": day, "number": k, "amount": amount} for day, k, amount in json.loads(text)]
    return sorted(rows, key=lambda row: (row["amount"], row["number"]))


balance = 1000
history = []
for text in days:  # LOOP pipeline
    rows = parse(text)
    balance = balance * 9 // 10 + sum(row["amount"] for row in rows[:50])
    history.append(balance)
print(history[-3:])
