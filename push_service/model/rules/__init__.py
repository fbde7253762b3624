"""One file a group of use cases: pure functions of (snapshot, request, now, policy) to a Decision."""
