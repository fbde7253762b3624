"""The bell: implementations of ports.Bus. Nothing here carries state."""
