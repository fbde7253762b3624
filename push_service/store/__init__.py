"""The truth: implementations of ports.Store. SQL stands here and nowhere else."""


class UnsafeDatabase(Exception):
    """What is stored in a database that is set up like this would not be safe; the sentence says what to change."""
