-- The last token that was given, for leases and claims alike.
CREATE TABLE flow_fence (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    token INTEGER NOT NULL
) STRICT;
INSERT INTO flow_fence (id, token) VALUES (1, 0);

CREATE TABLE flow_leases (
    name TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    token INTEGER NOT NULL,
    renewals INTEGER NOT NULL,
    term_ms INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    released INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX flow_leases_by_end ON flow_leases (expires_at);
