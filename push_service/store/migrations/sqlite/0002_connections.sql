-- The newest socket of each device: by it a process finds that a device which it holds has connected elsewhere.
CREATE TABLE connections (
    device_id     TEXT PRIMARY KEY,
    connection_id TEXT NOT NULL,
    since         BIGINT NOT NULL
) WITHOUT ROWID;
