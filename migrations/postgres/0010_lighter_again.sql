-- Attempts are found by their delivery alone, and need no index of their ids.
-- The same tables and columns as ../sqlite/0010_lighter_again.sql; a test compares the two.

ALTER TABLE attempts DROP CONSTRAINT attempts_pkey;
ALTER TABLE attempts DROP CONSTRAINT attempts_delivery_id_number_key;
ALTER TABLE attempts ADD PRIMARY KEY (delivery_id, number);

-- Those that are dead are listed from their index alone: they lie far apart among the others.
DROP INDEX deliveries_dead;
CREATE INDEX deliveries_dead ON deliveries (destination, id)
    INCLUDE (event_id, replay_id, url, attempts, reason, created_at, finished_at) WHERE status = 'dead';
