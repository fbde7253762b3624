"""The truth: implementations of ports.Store. SQL stands here and nowhere else."""
