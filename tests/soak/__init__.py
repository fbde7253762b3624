"""Stories of faults and load: a fraction of each runs in the suite, all of its rounds by `./dev soak NAME`."""
