-- A value held against a list of words makes SQLite build that list anew, as a table, for each row that is written; held
-- against each word it does not. Deliveries are kept by their id alone, in one tree instead of two.
-- The same tables and columns as ../postgres/0008_lighter.sql; a test compares the two.

CREATE TABLE new_callbacks (
    id TEXT NOT NULL PRIMARY KEY,
    source TEXT NOT NULL,
    -- Empty where none was found.
    task_id TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    outcome TEXT NOT NULL CHECK (
        outcome = 'accepted' OR outcome = 'duplicate' OR outcome = 'stale' OR outcome = 'conflict'
        OR outcome = 'disputed' OR outcome = 'quarantined' OR outcome = 'rejected'),
    detail TEXT,
    trust TEXT NOT NULL CHECK (
        trust = 'unsigned' OR trust = 'shared_secret' OR trust = 'signed_id' OR trust = 'signed_body'),
    event_id TEXT,
    tasks TEXT,
    received_at INTEGER NOT NULL,
    repeats INTEGER NOT NULL CHECK (repeats >= 0),
    repeated_at INTEGER,
    remote TEXT,
    query TEXT NOT NULL,
    headers TEXT NOT NULL,
    body BLOB NOT NULL,
    -- By task first: callbacks of one time then stand together, where fingerprints alone would scatter them.
    UNIQUE (source, task_id, outcome, fingerprint)
) STRICT;
INSERT INTO new_callbacks SELECT * FROM callbacks;
DROP TABLE callbacks;
ALTER TABLE new_callbacks RENAME TO callbacks;
CREATE INDEX callbacks_listed ON callbacks (source, outcome, id);

CREATE TABLE new_tasks (
    key TEXT NOT NULL,
    source TEXT NOT NULL,
    task_id TEXT NOT NULL,
    provider TEXT NOT NULL,
    status TEXT NOT NULL CHECK (
        status = 'pending' OR status = 'processing' OR status = 'completed' OR status = 'failed'
        OR status = 'cancelled'),
    model TEXT,
    progress INTEGER CHECK (progress BETWEEN 0 AND 100),
    outputs TEXT NOT NULL,
    error TEXT,
    usage TEXT,
    created_at INTEGER,
    completed_at INTEGER,
    observed_via TEXT NOT NULL CHECK (observed_via = 'callback' OR observed_via = 'poll' OR observed_via = 'relay'),
    confirmed INTEGER NOT NULL CHECK (confirmed = 0 OR confirmed = 1),
    metadata TEXT NOT NULL,
    metadata_origin INTEGER NOT NULL,
    first_seen_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    processing_event TEXT,
    terminal_event TEXT,
    conflict_event TEXT,
    -- A tombstone: what the task said is gone, that it ended is known.
    pruned_at INTEGER,
    PRIMARY KEY (source, task_id),
    CHECK (conflict_event IS NULL OR terminal_event IS NOT NULL),
    CHECK (terminal_event IS NULL OR status = 'completed' OR status = 'failed' OR status = 'cancelled')
) STRICT;
INSERT INTO new_tasks SELECT * FROM tasks;
DROP TABLE tasks;
ALTER TABLE new_tasks RENAME TO tasks;
CREATE INDEX tasks_listed ON tasks (source, status, key);

CREATE TABLE new_events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    xact INTEGER NOT NULL DEFAULT 0,
    type TEXT NOT NULL,
    step TEXT NOT NULL CHECK (
        step = 'processing' OR step = 'terminal' OR step = 'overdue' OR step = 'conflict'
        OR step = 'service'),
    source TEXT,
    task_id TEXT,
    team TEXT,
    at INTEGER NOT NULL,
    body TEXT NOT NULL,
    CHECK ((step = 'service') = (task_id IS NULL))
) STRICT;
INSERT INTO new_events SELECT * FROM events;
-- Numbers of events that were pruned are not given again.
DELETE FROM sqlite_sequence WHERE name = 'new_events';
INSERT INTO sqlite_sequence (name, seq) SELECT 'new_events', seq FROM sqlite_sequence WHERE name = 'events';
DROP TABLE events;
ALTER TABLE new_events RENAME TO events;
CREATE UNIQUE INDEX events_step ON events (source, task_id, step) WHERE step <> 'service';
CREATE INDEX events_listed ON events (source, type, id);
CREATE INDEX events_service ON events (team, id) WHERE step = 'service';
CREATE INDEX events_commit ON events (xact, seq) WHERE xact > 0;

CREATE TABLE new_deliveries (
    id TEXT NOT NULL PRIMARY KEY,
    event_id TEXT NOT NULL,
    destination TEXT NOT NULL,
    -- Empty for the first telling, else the replay that made it.
    replay_id TEXT NOT NULL,
    -- Where a replay goes to a URL instead of a destination.
    url TEXT,
    status TEXT NOT NULL CHECK (status = 'pending' OR status = 'delivered' OR status = 'held' OR status = 'dead'),
    due_at INTEGER,
    lease_until INTEGER,
    -- Which process holds it, by host and address: started again, it takes up its own at once.
    lease_owner TEXT,
    -- The fencing token: who holds an older number can no longer write.
    lease INTEGER NOT NULL CHECK (lease >= 0),
    failures INTEGER NOT NULL CHECK (failures >= 0),
    attempts INTEGER NOT NULL CHECK (attempts >= 0),
    parts_done TEXT,
    reason TEXT,
    created_at INTEGER NOT NULL,
    finished_at INTEGER,
    UNIQUE (event_id, destination, replay_id),
    CHECK ((status = 'pending') = (due_at IS NOT NULL)),
    CHECK (lease_until IS NULL OR status = 'pending'),
    CHECK ((lease_until IS NULL) = (lease_owner IS NULL)),
    CHECK ((status = 'delivered' OR status = 'dead') = (finished_at IS NOT NULL))
) STRICT, WITHOUT ROWID;
INSERT INTO new_deliveries SELECT * FROM deliveries;
DROP TABLE deliveries;
ALTER TABLE new_deliveries RENAME TO deliveries;
CREATE INDEX deliveries_due ON deliveries (destination, due_at) WHERE status = 'pending';
CREATE INDEX deliveries_listed ON deliveries (destination, id);
CREATE INDEX deliveries_held ON deliveries (destination, id) WHERE status = 'held';
CREATE INDEX deliveries_dead ON deliveries (destination, id) WHERE status = 'dead';

CREATE TABLE new_attempts (
    id TEXT NOT NULL PRIMARY KEY,
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
    UNIQUE (delivery_id, number)
) STRICT;
INSERT INTO new_attempts SELECT * FROM attempts;
DROP TABLE attempts;
ALTER TABLE new_attempts RENAME TO attempts;
