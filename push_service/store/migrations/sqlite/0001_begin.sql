-- Instants are microseconds since 1970 UTC; documents are JSON text; sealed columns are bytes that open only in their own row.
-- No foreign keys: a decision writes whole rows of one user, and nothing else writes them.

CREATE TABLE users (
    id            TEXT PRIMARY KEY,
    name_key      TEXT NOT NULL UNIQUE,
    username      TEXT NOT NULL,
    password_hash TEXT,
    state         TEXT NOT NULL,
    admin         INTEGER NOT NULL,
    version       BIGINT NOT NULL,
    guard         TEXT NOT NULL,
    mobile        BLOB,
    office        BLOB
);

CREATE TABLE sign_ins (
    id                TEXT PRIMARY KEY,
    user_id           TEXT NOT NULL,
    application_id    TEXT NOT NULL,
    token_hash        TEXT NOT NULL,
    state             TEXT NOT NULL,
    reason            TEXT,
    notice            TEXT,
    version           BIGINT NOT NULL,
    challenge_id      TEXT,
    begun_at          BIGINT NOT NULL,
    expires_at        BIGINT NOT NULL,
    decided_at        BIGINT,
    asker             TEXT NOT NULL,
    proven            TEXT NOT NULL,
    amr               TEXT NOT NULL,
    result_jti        TEXT,
    nonce             TEXT,
    registration_hash TEXT
);
-- Every index costs a page in every commit, so there are those that a request needs. What is due is found in the live
-- ones, which are few; what is old stands at the beginning of the table.
CREATE INDEX sign_ins_live ON sign_ins (user_id, expires_at) WHERE state IN ('pending', 'registration_required');
CREATE INDEX sign_ins_results ON sign_ins (user_id) WHERE result_jti IS NOT NULL;

CREATE TABLE challenges (
    id            TEXT PRIMARY KEY,
    sign_in_id    TEXT NOT NULL,
    user_id       TEXT NOT NULL,
    method_id     TEXT NOT NULL,
    kind          TEXT NOT NULL,
    target        TEXT NOT NULL,
    nonce         TEXT NOT NULL,
    context       TEXT NOT NULL,
    secret        BLOB,
    digits        INTEGER NOT NULL,
    state         TEXT NOT NULL,
    reason        TEXT,
    answered_by   TEXT,
    answer_digest TEXT,
    started_at    BIGINT NOT NULL,
    ended_at      BIGINT
);

-- The outbox of prompts. A row is born leased to the process that wrote it; others take it over when the lease ran out.
CREATE TABLE deliveries (
    challenge_id TEXT NOT NULL,
    device_id    TEXT NOT NULL,
    state        INTEGER NOT NULL DEFAULT 0,
    next_at      BIGINT NOT NULL,
    lease_until  BIGINT NOT NULL,
    attempts     INTEGER NOT NULL DEFAULT 0,
    acked_at     BIGINT,
    PRIMARY KEY (challenge_id, device_id)
) WITHOUT ROWID;

CREATE TABLE devices (
    id           TEXT PRIMARY KEY,
    user_id      TEXT NOT NULL,
    x            TEXT NOT NULL,
    y            TEXT NOT NULL,
    thumbprint   TEXT NOT NULL UNIQUE,
    name         TEXT NOT NULL,
    platform     TEXT NOT NULL,
    push_token   BLOB,
    totp_secret  BLOB,
    state        TEXT NOT NULL,
    activated_at BIGINT NOT NULL
);
CREATE INDEX devices_of_user ON devices (user_id);

CREATE TABLE activations (
    code_hash  TEXT PRIMARY KEY,
    user_id    TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    sign_in_id TEXT,
    thumbprint TEXT,
    device_id  TEXT
);

CREATE TABLE proofs_seen (
    device_id TEXT NOT NULL,
    jti_hash  TEXT NOT NULL,
    until     BIGINT NOT NULL,
    PRIMARY KEY (device_id, jti_hash)
) WITHOUT ROWID;

CREATE TABLE throttles (
    key TEXT PRIMARY KEY,
    tat BIGINT NOT NULL
) WITHOUT ROWID;

CREATE TABLE remembered (
    caller   TEXT NOT NULL,
    route    TEXT NOT NULL,
    key_hash TEXT NOT NULL,
    body_mac TEXT NOT NULL,
    answer   BLOB NOT NULL,
    until    BIGINT NOT NULL,
    PRIMARY KEY (caller, route, key_hash)
);

CREATE TABLE applications (
    id            TEXT PRIMARY KEY,
    name          TEXT NOT NULL,
    secret_hash   TEXT,
    may_vouch     INTEGER NOT NULL,
    redirect_uris TEXT NOT NULL,
    origins       TEXT NOT NULL,
    removed       INTEGER NOT NULL
);

CREATE TABLE signing_keys (
    kid        TEXT PRIMARY KEY,
    pem        BLOB NOT NULL,
    created_at BIGINT NOT NULL,
    retired_at BIGINT
);

-- What happened, in the order in which it was committed; also what other processes' bells are rung by.
CREATE TABLE audit (
    seq        INTEGER PRIMARY KEY,
    decision   TEXT NOT NULL,
    n          INTEGER NOT NULL,
    at         BIGINT NOT NULL,
    user_id    TEXT,
    sign_in_id TEXT,
    actor      TEXT NOT NULL,
    kind       TEXT NOT NULL,
    code       TEXT,
    source     TEXT,
    data       TEXT NOT NULL
);
