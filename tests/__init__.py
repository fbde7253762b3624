"""The test suite: folders mirror the packages; scenarios/ holds stories of the whole system."""
