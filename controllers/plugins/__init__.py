"""Classes of a user's own: how they are found, and what is made of what they print and raise."""
