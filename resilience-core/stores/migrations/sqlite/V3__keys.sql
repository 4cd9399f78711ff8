CREATE TABLE flow_keys (
    key TEXT PRIMARY KEY,
    fingerprint BLOB NOT NULL,
    token INTEGER NOT NULL,
    fence INTEGER,
    claimed_until INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    done_rows INTEGER,
    result BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX flow_keys_by_expiry ON flow_keys (expires_at);

CREATE TABLE flow_rows (
    data_set TEXT NOT NULL,
    row_key TEXT NOT NULL,
    hash BLOB NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (data_set, row_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX flow_rows_by_expiry ON flow_rows (expires_at);
