DROP TABLE flow_outbox;
