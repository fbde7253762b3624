-- Instants are microseconds since 1970 UTC; documents are JSON text; sealed columns are bytes that open only in their own row.
-- No foreign keys: a decision writes whole rows of one user, and nothing else writes them. Tables and columns are those of
-- the embedded store. Keys compare by bytes (COLLATE "C"): so they do there, and it is the cheapest order there is. The
-- tables whose rows change keep room in each page, so that a row's next version stays in it (HOT).

-- The one clock that decides. A volatile function reads it at the moment of the call: after a lock was waited for, too.
CREATE FUNCTION service_now() RETURNS BIGINT LANGUAGE sql VOLATILE AS $$
    SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::BIGINT
$$;

CREATE TABLE users (
    id            TEXT COLLATE "C" PRIMARY KEY,
    name_key      TEXT COLLATE "C" NOT NULL UNIQUE,
    username      TEXT NOT NULL,
    password_hash TEXT,
    state         TEXT NOT NULL,
    admin         INTEGER NOT NULL,
    version       BIGINT NOT NULL,
    guard         TEXT NOT NULL,
    mobile        BYTEA,
    office        BYTEA
) WITH (fillfactor = 70);

CREATE TABLE sign_ins (
    id                TEXT COLLATE "C" PRIMARY KEY,
    user_id           TEXT COLLATE "C" NOT NULL,
    application_id    TEXT NOT NULL,
    token_hash        TEXT NOT NULL,
    state             TEXT NOT NULL,
    reason            TEXT,
    notice            TEXT,
    version           BIGINT NOT NULL,
    challenge_id      TEXT COLLATE "C",
    begun_at          BIGINT NOT NULL,
    expires_at        BIGINT NOT NULL,
    decided_at        BIGINT,
    asker             TEXT NOT NULL,
    proven            TEXT NOT NULL,
    amr               TEXT NOT NULL,
    result_jti        TEXT,
    nonce             TEXT,
    registration_hash TEXT
) WITH (fillfactor = 70);
CREATE INDEX sign_ins_live ON sign_ins (user_id, expires_at) WHERE state IN ('pending', 'registration_required');
CREATE INDEX sign_ins_results ON sign_ins (user_id) WHERE result_jti IS NOT NULL;
-- What is old is found by its age: rows have no order of insertion here. Such an index grows at its end, which is cheap.
CREATE INDEX sign_ins_age ON sign_ins (begun_at);

CREATE TABLE challenges (
    id            TEXT COLLATE "C" PRIMARY KEY,
    sign_in_id    TEXT COLLATE "C" NOT NULL,
    user_id       TEXT COLLATE "C" NOT NULL,
    method_id     TEXT NOT NULL,
    kind          TEXT NOT NULL,
    target        TEXT NOT NULL,
    nonce         TEXT NOT NULL,
    context       TEXT NOT NULL,
    secret        BYTEA,
    digits        INTEGER NOT NULL,
    state         TEXT NOT NULL,
    reason        TEXT,
    answered_by   TEXT,
    answer_digest TEXT,
    started_at    BIGINT NOT NULL,
    ended_at      BIGINT
) WITH (fillfactor = 70);
CREATE INDEX challenges_age ON challenges (started_at);

-- The outbox of prompts. A row is born leased to the process that wrote it; others take it over when the lease ran out.
CREATE TABLE deliveries (
    challenge_id TEXT COLLATE "C" NOT NULL,
    device_id    TEXT COLLATE "C" NOT NULL,
    state        INTEGER NOT NULL DEFAULT 0,
    next_at      BIGINT NOT NULL,
    lease_until  BIGINT NOT NULL,
    attempts     INTEGER NOT NULL DEFAULT 0,
    acked_at     BIGINT,
    PRIMARY KEY (challenge_id, device_id)
);
CREATE INDEX deliveries_age ON deliveries (lease_until);

CREATE TABLE devices (
    id           TEXT COLLATE "C" PRIMARY KEY,
    user_id      TEXT COLLATE "C" NOT NULL,
    x            TEXT NOT NULL,
    y            TEXT NOT NULL,
    thumbprint   TEXT COLLATE "C" NOT NULL UNIQUE,
    name         TEXT NOT NULL,
    platform     TEXT NOT NULL,
    push_token   BYTEA,
    totp_secret  BYTEA,
    state        TEXT NOT NULL,
    activated_at BIGINT NOT NULL
);
CREATE INDEX devices_of_user ON devices (user_id);

CREATE TABLE activations (
    code_hash  TEXT COLLATE "C" PRIMARY KEY,
    user_id    TEXT COLLATE "C" NOT NULL,
    expires_at BIGINT NOT NULL,
    sign_in_id TEXT,
    thumbprint TEXT,
    device_id  TEXT
);
CREATE INDEX activations_of_user ON activations (user_id);

CREATE TABLE proofs_seen (
    device_id TEXT COLLATE "C" NOT NULL,
    jti_hash  TEXT COLLATE "C" NOT NULL,
    until     BIGINT NOT NULL,
    PRIMARY KEY (device_id, jti_hash)
);

CREATE TABLE throttles (
    key TEXT COLLATE "C" PRIMARY KEY,
    tat BIGINT NOT NULL
);

CREATE TABLE remembered (
    caller   TEXT COLLATE "C" NOT NULL,
    route    TEXT COLLATE "C" NOT NULL,
    key_hash TEXT COLLATE "C" NOT NULL,
    body_mac TEXT NOT NULL,
    answer   BYTEA NOT NULL,
    until    BIGINT NOT NULL,
    PRIMARY KEY (caller, route, key_hash)
);

CREATE TABLE applications (
    id            TEXT COLLATE "C" PRIMARY KEY,
    name          TEXT COLLATE "C" NOT NULL,
    secret_hash   TEXT,
    may_vouch     INTEGER NOT NULL,
    redirect_uris TEXT NOT NULL,
    origins       TEXT NOT NULL,
    removed       INTEGER NOT NULL
);

CREATE TABLE signing_keys (
    kid        TEXT COLLATE "C" PRIMARY KEY,
    pem        BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    retired_at BIGINT
);

-- What happened; also what other processes' bells are rung by. Numbers are given out before they are committed, so that
-- a lower one may appear after a higher one: whoever reads along goes by the transaction, not by the number.
CREATE TABLE audit (
    seq        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    decision   TEXT COLLATE "C" NOT NULL,
    n          INTEGER NOT NULL,
    at         BIGINT NOT NULL,
    user_id    TEXT,
    sign_in_id TEXT,
    actor      TEXT NOT NULL,
    kind       TEXT NOT NULL,
    code       TEXT,
    source     TEXT,
    data       TEXT NOT NULL,
    xid        xid8 NOT NULL DEFAULT pg_current_xact_id()
);
CREATE INDEX audit_xid ON audit (xid);

-- The generic cell rate algorithm of model/throttle.py, for several who spend at once. Charges of one owner stand together
-- and are spent all or none; what is returned are the owners refused, with the microseconds until their first refused charge
-- would pass. Counters are locked in the order of their keys, so that two transactions never wait for one another.
CREATE FUNCTION spend(owners TEXT[], keys TEXT[], costs BIGINT[], bursts BIGINT[])
RETURNS TABLE (owner TEXT, wait BIGINT) LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_variable
DECLARE
    known   TEXT[];
    tats    BIGINT[] := '{}';
    before  BIGINT[];
    a_key   TEXT;
    a_tat   BIGINT;
    moment  BIGINT;
    place   INTEGER;
    refused BOOLEAN := FALSE;
BEGIN
    SELECT array_agg(DISTINCT each COLLATE "C" ORDER BY each COLLATE "C") INTO known FROM unnest(keys) AS each;
    IF known IS NULL THEN
        RETURN;
    END IF;
    FOREACH a_key IN ARRAY known LOOP
        SELECT t.tat INTO a_tat FROM throttles t WHERE t.key = a_key FOR NO KEY UPDATE;
        IF NOT FOUND THEN
            INSERT INTO throttles AS t (key, tat) VALUES (a_key, 0)
            ON CONFLICT (key) DO UPDATE SET tat = t.tat RETURNING t.tat INTO a_tat;
        END IF;
        tats := tats || a_tat;
    END LOOP;
    moment := service_now();
    FOR i IN 1 .. cardinality(keys) LOOP
        IF i = 1 OR owners[i] <> owners[i - 1] THEN
            before := tats;
            refused := FALSE;
        END IF;
        CONTINUE WHEN refused;
        place := array_position(known, keys[i]);
        IF costs[i] < 0 THEN
            tats[place] := tats[place] + costs[i];
        ELSE
            a_tat := greatest(tats[place], moment) + costs[i];
            IF a_tat - moment <= bursts[i] THEN
                tats[place] := a_tat;
            ELSE
                refused := TRUE;
                owner := owners[i];
                wait := a_tat - bursts[i] - moment;
                tats := before;
                RETURN NEXT;
            END IF;
        END IF;
    END LOOP;
    UPDATE throttles t SET tat = spent.tat FROM unnest(known, tats) AS spent (key, tat)
    WHERE t.key = spent.key AND t.tat <> spent.tat;
END
$$;
