"""The first calls of a run whose mode is measured: made, watched, and what is known from them."""
