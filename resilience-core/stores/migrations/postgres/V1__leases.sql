-- The server's clock, in milliseconds since the epoch. Read when it is called, not when the transaction began.
CREATE FUNCTION flow_now() RETURNS bigint LANGUAGE sql VOLATILE AS
    'SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint';

-- Tokens of leases and claims alike.
CREATE SEQUENCE flow_fence AS bigint;

CREATE TABLE flow_leases (
    name text PRIMARY KEY,
    holder text NOT NULL,
    token bigint NOT NULL,
    renewals bigint NOT NULL,
    term_ms bigint NOT NULL,
    expires_at bigint NOT NULL,
    released boolean NOT NULL
);
CREATE INDEX flow_leases_by_end ON flow_leases (expires_at);
