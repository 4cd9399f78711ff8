CREATE TABLE flow_keys (
    key text PRIMARY KEY,
    fingerprint bytea NOT NULL,
    token bigint NOT NULL,
    fence bigint,
    claimed_until bigint NOT NULL,
    expires_at bigint NOT NULL,
    done_rows bigint,
    result bytea
);
CREATE INDEX flow_keys_by_expiry ON flow_keys (expires_at);

CREATE TABLE flow_rows (
    data_set text NOT NULL,
    row_key text NOT NULL,
    hash bytea NOT NULL,
    expires_at bigint NOT NULL,
    PRIMARY KEY (data_set, row_key)
);
CREATE INDEX flow_rows_by_expiry ON flow_rows (expires_at);
