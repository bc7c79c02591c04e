"""Fetches pages one after the other: nearly all of it is waiting."""
# EXPECT change concurrent

import time


def fetch(number):
    time.sleep(0.01)
    return {"number": number, "size": sum(range(number * 50))}


pages = []
for number in range(60):  # LOOP independent
    page = fetch(number)
    pages.append(page)
    if number % 20 == 0:
        print("at", number)
print(sum(page["size"] for page in pages))
