-- What lists are read by: each filter walks along an index from its newest row on. That costs callbacks, events and
-- deliveries one index entry each, and tasks none: their key alone is not looked for.
-- The same tables and columns as ../sqlite/0003_lists.sql; a test compares the two.

ALTER TABLE tasks DROP CONSTRAINT tasks_pkey;
ALTER TABLE tasks DROP CONSTRAINT tasks_source_task_id_key;
ALTER TABLE tasks ADD PRIMARY KEY (source, task_id);
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
);
INSERT INTO task_metadata
    SELECT t.source, left(to_json(m.key)::text || ':' || to_json(m.value)::text, 200), t.key, t.task_id
    FROM tasks t, jsonb_each_text(t.metadata::jsonb) m
    ON CONFLICT DO NOTHING;
