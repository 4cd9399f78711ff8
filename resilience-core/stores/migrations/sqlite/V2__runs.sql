CREATE TABLE flow_runs (
    id TEXT PRIMARY KEY,
    job TEXT NOT NULL,
    fence INTEGER,
    started_at INTEGER NOT NULL,
    ended_at INTEGER,
    entries INTEGER NOT NULL,
    state TEXT, row_count INTEGER, expected INTEGER, quality INTEGER, until_ms INTEGER, detail TEXT,
    o_state TEXT, o_row_count INTEGER, o_expected INTEGER, o_quality INTEGER, o_until_ms INTEGER, o_detail TEXT,
    o_by TEXT, o_reason TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX flow_runs_by_start ON flow_runs (started_at);
CREATE INDEX flow_runs_open ON flow_runs (started_at) WHERE ended_at IS NULL;

CREATE TABLE flow_timeline (
    run TEXT NOT NULL,
    number INTEGER NOT NULL,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    what TEXT NOT NULL,
    evidence TEXT NOT NULL,
    PRIMARY KEY (run, number)
) STRICT, WITHOUT ROWID;
