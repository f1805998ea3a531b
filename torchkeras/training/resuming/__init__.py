"""Stop anywhere and go on exactly: the state of a training run as plain data."""
