"""Stories of the whole system, told through its real interfaces."""
