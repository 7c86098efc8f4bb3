-- Attempts are found by their delivery alone, and need no index of their ids.
-- The same tables and columns as ../sqlite/0010_attempts.sql; a test compares the two.

ALTER TABLE attempts DROP CONSTRAINT attempts_pkey;
ALTER TABLE attempts DROP CONSTRAINT attempts_delivery_id_number_key;
ALTER TABLE attempts ADD PRIMARY KEY (delivery_id, number);
