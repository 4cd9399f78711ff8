DROP TABLE flow_leases;
DROP TABLE flow_fence;
