"""Every call fills one buffer: processes have one each, threads would share it."""
# EXPECT change parallel

import time

buffer = [0] * 64


def checksum(number):
    for k in range(64):
        buffer[k] = (number * 31 + k * 17) % 251
    time.sleep(0.005)
    return sum(k * value for k, value in enumerate(buffer))


sums = []
for number in range(120):  # LOOP independent
    sums.append(checksum(number))
print(sum(sums))
