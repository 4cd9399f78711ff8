DROP TABLE flow_leases;
DROP SEQUENCE flow_fence;
DROP FUNCTION flow_now();
