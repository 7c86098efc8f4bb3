-- What each row costs that is written.
-- The same tables and columns as ../sqlite/0008_lighter.sql; a test compares the two.

-- An event is found by its number only together with its transaction's (0006_replays.sql), which is unique with it.
ALTER TABLE events DROP CONSTRAINT events_seq_key;
