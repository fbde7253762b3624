"""Keys, signatures, sealed columns and password hashes: thin, strict shells around PyJWT, cryptography and argon2-cffi."""
