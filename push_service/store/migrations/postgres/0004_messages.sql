-- Texts and calls, what they need of methods, and the list of app passwords. Columns, tables and indices are added and
-- nothing else: the previous program goes on working beside the new one.
ALTER TABLE challenges ADD COLUMN code TEXT;

-- The outbox of texts and calls. A row is born leased to the process that wrote it, and is marked (begun) before the
-- provider is called. Who sends next is found among those of which nothing has become yet: few, so the index is small.
CREATE TABLE messages (
    id          TEXT COLLATE "C" PRIMARY KEY,
    user_id     TEXT COLLATE "C" NOT NULL,
    method_id   TEXT COLLATE "C" NOT NULL,
    via         TEXT NOT NULL,
    about       TEXT NOT NULL,
    detail      TEXT NOT NULL,
    expires_at  BIGINT NOT NULL,
    lease_until BIGINT NOT NULL,
    begun       INTEGER NOT NULL DEFAULT 0,
    state       INTEGER NOT NULL DEFAULT 0,
    code        TEXT,
    provider_id TEXT
);
CREATE INDEX messages_due ON messages (lease_until) WHERE state = 0;
CREATE INDEX messages_age ON messages (expires_at);

-- Numbers of phones and secrets of authenticator apps, sealed, by their method or enrolment.
CREATE TABLE method_secrets (
    method_id TEXT COLLATE "C" PRIMARY KEY,
    user_id   TEXT COLLATE "C" NOT NULL,
    value     BYTEA NOT NULL
);
CREATE INDEX method_secrets_of_user ON method_secrets (user_id);

-- App passwords as listed; what they are opened by stands in the guard.
CREATE TABLE app_passwords (
    id             TEXT COLLATE "C" PRIMARY KEY,
    user_id        TEXT COLLATE "C" NOT NULL,
    name           TEXT NOT NULL,
    created_at     BIGINT NOT NULL,
    last_used_at   BIGINT,
    last_used_from TEXT
);
CREATE INDEX app_passwords_of_user ON app_passwords (user_id);
