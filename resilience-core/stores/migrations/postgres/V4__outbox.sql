CREATE TABLE flow_outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic text NOT NULL,
    order_key text,
    payload bytea NOT NULL,
    appended_at bigint NOT NULL,
    visible_at bigint NOT NULL,
    is_blocked boolean NOT NULL,
    deliveries integer NOT NULL DEFAULT 0,
    token bigint NOT NULL DEFAULT 0,
    last_error text,
    dead_at bigint
);
CREATE INDEX flow_outbox_claimable ON flow_outbox (topic, visible_at, id)
    WHERE dead_at IS NULL AND NOT is_blocked;
CREATE INDEX flow_outbox_unsettled ON flow_outbox (topic, id) WHERE dead_at IS NULL;
CREATE INDEX flow_outbox_by_key ON flow_outbox (topic, order_key, is_blocked, id)
    WHERE dead_at IS NULL AND order_key IS NOT NULL;
CREATE INDEX flow_outbox_dead ON flow_outbox (topic, id) WHERE dead_at IS NOT NULL;
CREATE INDEX flow_outbox_by_death ON flow_outbox (dead_at) WHERE dead_at IS NOT NULL;
