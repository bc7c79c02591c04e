"""Looks like the one that waits, but each request needs the cursor of the one before."""
# EXPECT leave

import time


def request(cursor):
    time.sleep(0.01)
    return cursor * 3 % 101, cursor * 7919 % 1009


cursor, balance = 5, 0
for _ in range(50):  # LOOP carried
    amount, cursor = request(cursor)
    balance += amount
print(balance, cursor)
