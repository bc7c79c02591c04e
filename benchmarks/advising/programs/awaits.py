"""A coroutine that awaits one answer after the other."""
# EXPECT remedy gather

import asyncio


async def answer(number):
    await asyncio.sleep(0.01)
    return number * number


async def main():
    total = 0
    for number in range(60):
        total += await answer(number)
    print(total)


asyncio.run(main())
