CREATE TABLE flow_outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    topic TEXT NOT NULL,
    order_key TEXT,
    payload BLOB NOT NULL,
    appended_at INTEGER NOT NULL,
    visible_at INTEGER NOT NULL,
    is_blocked INTEGER NOT NULL,
    deliveries INTEGER NOT NULL DEFAULT 0,
    token INTEGER NOT NULL DEFAULT 0,
    last_error TEXT,
    dead_at INTEGER
) STRICT;
CREATE INDEX flow_outbox_claimable ON flow_outbox (topic, visible_at, id)
    WHERE dead_at IS NULL AND is_blocked = 0;
CREATE INDEX flow_outbox_unsettled ON flow_outbox (topic, id) WHERE dead_at IS NULL;
CREATE INDEX flow_outbox_by_key ON flow_outbox (topic, order_key, is_blocked, id)
    WHERE dead_at IS NULL AND order_key IS NOT NULL;
CREATE INDEX flow_outbox_dead ON flow_outbox (topic, id) WHERE dead_at IS NOT NULL;
CREATE INDEX flow_outbox_by_death ON flow_outbox (dead_at) WHERE dead_at IS NOT NULL;
