-- A delivery says itself of what type its event is: lists of deliveries read no events, which lie far apart.
-- The same tables and columns as ../sqlite/0011_typed_deliveries.sql; a test compares the two.

ALTER TABLE deliveries ADD COLUMN event_type TEXT NOT NULL DEFAULT '';
UPDATE deliveries SET event_type = COALESCE((SELECT type FROM events WHERE events.id = deliveries.event_id), 'forward');
DROP INDEX deliveries_dead;
CREATE INDEX deliveries_dead ON deliveries (destination, id)
    INCLUDE (event_id, event_type, replay_id, url, attempts, reason, created_at, finished_at) WHERE status = 'dead';
