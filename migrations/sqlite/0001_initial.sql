-- The same tables and columns as ../postgres/0001_initial.sql; a test compares the two.
-- Times are milliseconds since 1970. Ids and states are text. `now` is always bound, never a default.

CREATE TABLE meta (
    key TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

-- Secrets that we made: callback tokens, signing secrets, the key that signs callback URLs.
CREATE TABLE secrets (
    purpose TEXT NOT NULL,
    name TEXT NOT NULL,
    number INTEGER NOT NULL,
    value TEXT NOT NULL,
    made_at INTEGER NOT NULL,
    PRIMARY KEY (purpose, name, number)
) STRICT;

CREATE TABLE keys (
    id TEXT NOT NULL PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('admin', 'manage', 'read', 'relay')),
    team TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    last_used_at INTEGER,
    revoked_at INTEGER,
    CHECK ((role = 'admin') = (team IS NULL))
) STRICT;

CREATE TABLE teams (
    name TEXT NOT NULL PRIMARY KEY,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE destinations (
    name TEXT NOT NULL PRIMARY KEY,
    team TEXT NOT NULL,
    channel TEXT NOT NULL,
    settings TEXT NOT NULL,
    rate TEXT,
    concurrency INTEGER CHECK (concurrency > 0),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

-- How a destination is faring, whether a file declares it or a row of `destinations`.
CREATE TABLE destination_states (
    name TEXT NOT NULL PRIMARY KEY,
    disabled_at INTEGER,
    disabled_reason TEXT,
    paused_until INTEGER,
    failing_since INTEGER,
    failures INTEGER NOT NULL CHECK (failures >= 0),
    CHECK ((disabled_at IS NULL) = (disabled_reason IS NULL)),
    CHECK ((failing_since IS NULL) = (failures = 0))
) STRICT;

CREATE TABLE subscriptions (
    id TEXT NOT NULL PRIMARY KEY,
    destination TEXT NOT NULL,
    events TEXT NOT NULL,
    sources TEXT,
    filter TEXT,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX subscriptions_destination ON subscriptions (destination);

CREATE TABLE callbacks (
    id TEXT NOT NULL PRIMARY KEY,
    source TEXT NOT NULL,
    -- Empty where none was found.
    task_id TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN
        ('accepted', 'duplicate', 'stale', 'conflict', 'disputed', 'quarantined', 'rejected')),
    detail TEXT,
    trust TEXT NOT NULL CHECK (trust IN ('unsigned', 'shared_secret', 'signed_id', 'signed_body')),
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
CREATE INDEX callbacks_unread ON callbacks (outcome, source, id) WHERE outcome IN ('quarantined', 'rejected');

CREATE TABLE tasks (
    key TEXT NOT NULL PRIMARY KEY,
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
    UNIQUE (source, task_id),
    CHECK (conflict_event IS NULL OR terminal_event IS NOT NULL),
    CHECK (terminal_event IS NULL OR status IN ('completed', 'failed', 'cancelled'))
) STRICT;

-- Commit order is (xact, seq). On SQLite there is one writer, and `seq` alone is it.
CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    xact INTEGER NOT NULL DEFAULT 0,
    type TEXT NOT NULL,
    step TEXT NOT NULL CHECK (step IN ('processing', 'terminal', 'overdue', 'conflict', 'service')),
    source TEXT,
    task_id TEXT,
    team TEXT,
    at INTEGER NOT NULL,
    body TEXT NOT NULL,
    CHECK ((step = 'service') = (task_id IS NULL))
) STRICT;
-- One end a task, whatever arrives: this is where it is held.
CREATE UNIQUE INDEX events_step ON events (source, task_id, step) WHERE step <> 'service';

CREATE TABLE deliveries (
    id TEXT NOT NULL PRIMARY KEY,
    -- No foreign keys among what is written for each callback: their checks cost a quarter of it.
    event_id TEXT NOT NULL,
    destination TEXT NOT NULL,
    -- Empty for the first telling, else the replay that made it.
    replay_id TEXT NOT NULL,
    -- Where a replay goes to a URL instead of a destination.
    url TEXT,
    status TEXT NOT NULL CHECK (status IN ('pending', 'delivered', 'held', 'dead')),
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
    CHECK ((status IN ('delivered', 'dead')) = (finished_at IS NOT NULL))
) STRICT;
CREATE INDEX deliveries_due ON deliveries (destination, due_at) WHERE status = 'pending';
CREATE INDEX deliveries_waiting ON deliveries (status, destination, id) WHERE status IN ('held', 'dead');

CREATE TABLE attempts (
    id TEXT NOT NULL PRIMARY KEY,
    delivery_id TEXT NOT NULL,
    number INTEGER NOT NULL CHECK (number > 0),
    started_at INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL CHECK (duration_ms >= 0),
    outcome TEXT NOT NULL CHECK (outcome IN
        ('delivered', 'failed', 'throttled', 'rejected', 'gone', 'interrupted')),
    status_code INTEGER,
    reason TEXT,
    response BLOB NOT NULL,
    next_at INTEGER,
    UNIQUE (delivery_id, number)
) STRICT;

-- Answers to POSTs that carried an Idempotency-Key, kept a day.
CREATE TABLE idempotency (
    key TEXT NOT NULL PRIMARY KEY,
    request TEXT NOT NULL,
    status INTEGER NOT NULL,
    body TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX idempotency_age ON idempotency (created_at);
