DROP TABLE flow_timeline;
DROP TABLE flow_runs;
