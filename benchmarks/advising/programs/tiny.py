"""Many cheap items: handing them out would take longer."""
# EXPECT leave

total = 0
for number in range(1_500_000):  # LOOP reduction
    total += number % 7
print(total)
