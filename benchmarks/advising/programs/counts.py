"""Counts words of many texts: counters, a sum and a dict by key."""
# EXPECT change parallel

import random
from collections import Counter

draws = random.Random(3)
words = ["".join(draws.choices("abcdef", k=5)) for _ in range(200)]
texts = [" ".join(draws.choices(words, k=6000)) for _ in range(24)]


def normalise(text):
    return [word.strip(".,").lower().title().swapcase() for word in text.split()] * 6


counts = Counter()
total = 0
lengths = {}
for number, text in enumerate(texts):  # LOOP reduction
    found = Counter(normalise(text))
    counts.update(found)
    total += found.total()
    lengths[number] = len(found)
print(counts.most_common(3), total, sum(lengths.values()))
