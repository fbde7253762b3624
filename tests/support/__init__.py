"""What the stories need: the real server process, the people in its store, and a browser's side of the interface."""
