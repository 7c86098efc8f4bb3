-- What lists are read by: each filter walks along an index from its newest row on. That costs callbacks, events and
-- deliveries one index entry each, and tasks none: their key alone is not looked for.
-- The same tables and columns as ../postgres/0003_lists.sql; a test compares the two.

CREATE TABLE new_tasks (
    key TEXT NOT NULL,
    source TEXT NOT NULL,
    task_id TEXT NOT NULL,
    provider TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('pending', 'processing', 'completed', 'failed', 'cancelled')),
    model TEXT,
    progress INTEGER CHECK (progress BETWEEN 0 AND 100),
    outputs TEXT NOT NULL,
    error TEXT,
    usage TEXT,
    created_at INTEGER,
    completed_at INTEGER,
    observed_via TEXT NOT NULL CHECK (observed_via IN ('callback', 'poll', 'relay')),
    confirmed INTEGER NOT NULL CHECK (confirmed IN (0, 1)),
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
    CHECK (terminal_event IS NULL OR status IN ('completed', 'failed', 'cancelled'))
) STRICT;
INSERT INTO new_tasks SELECT * FROM tasks;
DROP TABLE tasks;
ALTER TABLE new_tasks RENAME TO tasks;
CREATE INDEX tasks_listed ON tasks (source, status, key);
CREATE INDEX events_listed ON events (source, type, id);
CREATE INDEX events_service ON events (team, id) WHERE step = 'service';
DROP INDEX callbacks_unread;
CREATE INDEX callbacks_listed ON callbacks (source, outcome, id);
CREATE INDEX deliveries_listed ON deliveries (destination, id);
-- One for each status: SQLite takes them before the whole one only where nothing but their condition differs.
DROP INDEX deliveries_waiting;
CREATE INDEX deliveries_held ON deliveries (destination, id) WHERE status = 'held';
CREATE INDEX deliveries_dead ON deliveries (destination, id) WHERE status = 'dead';

-- The pairs of tasks' metadata, as they stand in its JSON, cut to 200 characters.
CREATE TABLE task_metadata (
    source TEXT NOT NULL,
    pair TEXT NOT NULL,
    -- That of the task.
    key TEXT NOT NULL,
    task_id TEXT NOT NULL,
    PRIMARY KEY (source, pair, key)
) STRICT, WITHOUT ROWID;
INSERT INTO task_metadata
    SELECT t.source, substr(json_quote(m.key) || ':' || json_quote(m.value), 1, 200), t.key, t.task_id
    FROM tasks t, json_each(t.metadata) m WHERE true
    ON CONFLICT DO NOTHING;
