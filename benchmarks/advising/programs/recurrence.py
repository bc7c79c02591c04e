"""Steps of a simulation, each from the state before it."""
# EXPECT leave

state = [float(k) for k in range(40)]


def step(values):
    return [(values[k - 1] + values[k] + values[(k + 1) % len(values)]) / 3 for k in range(len(values))]


for _ in range(40_000):  # LOOP carried
    state = step(state)
print(f"{sum(state):.6f}")
