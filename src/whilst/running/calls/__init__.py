"""Making calls: plain functions and coroutines, with seeds and output as a `for` loop would have them."""
