"""The hosted pages in a real Chromium: every state by itself, against scripted answers, and whole stories against the service."""
