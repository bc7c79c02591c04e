"""Pure Python for each item, and the first maximum kept."""
# EXPECT change parallel


def collatz(n):
    steps = 0
    while n != 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        steps += 1
    return steps


def longest(block):
    return max((collatz(n), -n) for n in range(block * 1500 + 1, block * 1500 + 1501))


best, where = 0, 0
for block in range(16):  # LOOP reduction
    steps, n = longest(block)
    if steps > best:
        best, where = steps, -n
print(best, where)
