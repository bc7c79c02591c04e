"""Asks one mirror after the other, and stops at the first that has it: no other may be asked."""
# EXPECT leave

import time


def has_it(mirror):
    time.sleep(0.02)
    return mirror * 7 % 41 == 40


asked = 0
for mirror in range(60):  # LOOP independent
    found = has_it(mirror)
    asked += 1
    if found:
        print("found at", mirror)
        break
print(asked, "asked")
