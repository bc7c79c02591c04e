"""What tasks ask of the world outside the program: the time, chance and files."""
