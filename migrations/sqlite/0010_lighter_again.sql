-- Attempts are found by their delivery alone: they are kept by that and their number, in one tree instead of three.
-- The same tables and columns as ../postgres/0010_lighter_again.sql; a test compares the two.

CREATE TABLE new_attempts (
    id TEXT NOT NULL,
    delivery_id TEXT NOT NULL,
    number INTEGER NOT NULL CHECK (number > 0),
    started_at INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL CHECK (duration_ms >= 0),
    outcome TEXT NOT NULL CHECK (
        outcome = 'delivered' OR outcome = 'failed' OR outcome = 'throttled' OR outcome = 'rejected'
        OR outcome = 'gone' OR outcome = 'interrupted'),
    status_code INTEGER,
    reason TEXT,
    response BLOB NOT NULL,
    next_at INTEGER,
    PRIMARY KEY (delivery_id, number)
) STRICT, WITHOUT ROWID;
INSERT INTO new_attempts SELECT * FROM attempts;
DROP TABLE attempts;
ALTER TABLE new_attempts RENAME TO attempts;

-- Those that are dead are listed from their index alone: they lie far apart among the others.
DROP INDEX deliveries_dead;
CREATE INDEX deliveries_dead ON deliveries
    (destination, id, event_id, replay_id, url, attempts, reason, created_at, finished_at) WHERE status = 'dead';
