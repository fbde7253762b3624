"""Keys, signatures, sealed columns and password hashes.

Thin, strict shells around PyJWT, cryptography and argon2-cffi.
"""
