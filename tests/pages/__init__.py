"""The hosted pages in a real Chromium: every step against scripted answers, and as the service serves them."""
