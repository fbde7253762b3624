"""HTTP and WebSocket: each turns its own protocol into the use cases' few calls. None of them holds a rule."""
