"""The benchmark harness: its statistics, its clients, its yardstick."""
