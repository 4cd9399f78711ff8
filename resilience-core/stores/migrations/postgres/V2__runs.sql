CREATE TABLE flow_runs (
    id text PRIMARY KEY,
    job text NOT NULL,
    fence bigint,
    started_at bigint NOT NULL,
    ended_at bigint,
    entries bigint NOT NULL,
    state text, row_count bigint, expected bigint, quality bigint, until_ms bigint, detail text,
    o_state text, o_row_count bigint, o_expected bigint, o_quality bigint, o_until_ms bigint, o_detail text,
    o_by text, o_reason text
);
CREATE INDEX flow_runs_by_start ON flow_runs (started_at);
CREATE INDEX flow_runs_open ON flow_runs (started_at) WHERE ended_at IS NULL;

CREATE TABLE flow_timeline (
    run text NOT NULL,
    number bigint NOT NULL,
    at bigint NOT NULL,
    kind text NOT NULL,
    what text NOT NULL,
    evidence text NOT NULL,
    PRIMARY KEY (run, number)
);
