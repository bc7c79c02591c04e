"""What goes on between calls: in the input that gives their items, and in the loop that reads their results."""
