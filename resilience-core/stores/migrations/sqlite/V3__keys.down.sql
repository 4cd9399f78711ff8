DROP TABLE flow_rows;
DROP TABLE flow_keys;
