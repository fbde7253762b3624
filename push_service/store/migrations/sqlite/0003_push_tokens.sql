-- A push token can be found without opening all of them, and forgotten when no phone has confirmed it for long. Columns
-- and indices are added and nothing else: the previous program goes on working beside the new one. It writes tokens
-- without their hash, so a hash is only where to look; what a row's token is, only the token itself says.
ALTER TABLE devices ADD COLUMN push_token_hash TEXT;
ALTER TABLE devices ADD COLUMN push_token_at BIGINT;
CREATE INDEX devices_push_token ON devices (push_token_hash) WHERE push_token_hash IS NOT NULL;
CREATE INDEX devices_push_token_at ON devices (push_token_at) WHERE push_token IS NOT NULL;
