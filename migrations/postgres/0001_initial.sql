-- The same tables and columns as ../sqlite/0001_initial.sql; a test compares the two.
-- Times are milliseconds since 1970. Ids and states are text. `now` is always bound, never a default.

CREATE TABLE meta (
    key TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

-- Secrets that we made: callback tokens, signing secrets, the key that signs callback URLs.
CREATE TABLE secrets (
    purpose TEXT NOT NULL,
    name TEXT NOT NULL,
    number BIGINT NOT NULL,
    value TEXT NOT NULL,
    made_at BIGINT NOT NULL,
    PRIMARY KEY (purpose, name, number)
);

CREATE TABLE keys (
    id TEXT NOT NULL PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('admin', 'manage', 'read', 'relay')),
    team TEXT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    last_used_at BIGINT,
    revoked_at BIGINT,
    CHECK ((role = 'admin') = (team IS NULL))
);

CREATE TABLE teams (
    name TEXT NOT NULL PRIMARY KEY,
    created_at BIGINT NOT NULL
);

CREATE TABLE destinations (
    name TEXT NOT NULL PRIMARY KEY,
    team TEXT NOT NULL,
    channel TEXT NOT NULL,
    settings TEXT NOT NULL,
    rate TEXT,
    concurrency BIGINT CHECK (concurrency > 0),
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- How a destination is faring, whether a file declares it or a row of `destinations`.
CREATE TABLE destination_states (
    name TEXT NOT NULL PRIMARY KEY,
    disabled_at BIGINT,
    disabled_reason TEXT,
    paused_until BIGINT,
    failing_since BIGINT,
    failures BIGINT NOT NULL CHECK (failures >= 0),
    CHECK ((disabled_at IS NULL) = (disabled_reason IS NULL)),
    CHECK ((failing_since IS NULL) = (failures = 0))
);

CREATE TABLE subscriptions (
    id TEXT NOT NULL PRIMARY KEY,
    destination TEXT NOT NULL,
    events TEXT NOT NULL,
    sources TEXT,
    filter TEXT,
    created_at BIGINT NOT NULL
);
CREATE INDEX subscriptions_destination ON subscriptions (destination);

CREATE TABLE callbacks (
    id TEXT NOT NULL PRIMARY KEY,
    source TEXT NOT NULL,
    -- Empty where none was found.
    task_id TEXT NOT NULL,
    fingerprint BYTEA NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN
        ('accepted', 'duplicate', 'stale', 'conflict', 'disputed', 'quarantined', 'rejected')),
    detail TEXT,
    trust TEXT NOT NULL CHECK (trust IN ('unsigned', 'shared_secret', 'signed_id', 'signed_body')),
    event_id TEXT,
    tasks TEXT,
    received_at BIGINT NOT NULL,
    repeats BIGINT NOT NULL CHECK (repeats >= 0),
    repeated_at BIGINT,
    remote TEXT,
    query TEXT NOT NULL,
    headers TEXT NOT NULL,
    body BYTEA NOT NULL,
    -- By task first: callbacks of one time then stand together, where fingerprints alone would scatter them.
    UNIQUE (source, task_id, outcome, fingerprint)
);
CREATE INDEX callbacks_unread ON callbacks (outcome, source, id) WHERE outcome IN ('quarantined', 'rejected');

CREATE TABLE tasks (
    key TEXT NOT NULL PRIMARY KEY,
    source TEXT NOT NULL,
    task_id TEXT NOT NULL,
    provider TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('pending', 'processing', 'completed', 'failed', 'cancelled')),
    model TEXT,
    progress BIGINT CHECK (progress BETWEEN 0 AND 100),
    outputs TEXT NOT NULL,
    error TEXT,
    usage TEXT,
    created_at BIGINT,
    completed_at BIGINT,
    observed_via TEXT NOT NULL CHECK (observed_via IN ('callback', 'poll', 'relay')),
    confirmed BIGINT NOT NULL CHECK (confirmed IN (0, 1)),
    metadata TEXT NOT NULL,
    metadata_origin BIGINT NOT NULL,
    first_seen_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    processing_event TEXT,
    terminal_event TEXT,
    conflict_event TEXT,
    -- A tombstone: what the task said is gone, that it ended is known.
    pruned_at BIGINT,
    UNIQUE (source, task_id),
    CHECK (conflict_event IS NULL OR terminal_event IS NOT NULL),
    CHECK (terminal_event IS NULL OR status IN ('completed', 'failed', 'cancelled'))
);

-- Commit order is (xact, seq), read only below pg_snapshot_xmin(pg_current_snapshot()): a number
-- that was taken early and committed late is then never skipped.
CREATE TABLE events (
    seq BIGINT GENERATED ALWAYS AS IDENTITY UNIQUE,
    id TEXT NOT NULL PRIMARY KEY,
    xact BIGINT NOT NULL DEFAULT (pg_current_xact_id()::text::bigint),
    type TEXT NOT NULL,
    step TEXT NOT NULL CHECK (step IN ('processing', 'terminal', 'overdue', 'conflict', 'service')),
    source TEXT,
    task_id TEXT,
    team TEXT,
    at BIGINT NOT NULL,
    body TEXT NOT NULL,
    CHECK ((step = 'service') = (task_id IS NULL))
);
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
    due_at BIGINT,
    lease_until BIGINT,
    -- Which process holds it, by host and address: started again, it takes up its own at once.
    lease_owner TEXT,
    -- The fencing token: who holds an older number can no longer write.
    lease BIGINT NOT NULL CHECK (lease >= 0),
    failures BIGINT NOT NULL CHECK (failures >= 0),
    attempts BIGINT NOT NULL CHECK (attempts >= 0),
    parts_done TEXT,
    reason TEXT,
    created_at BIGINT NOT NULL,
    finished_at BIGINT,
    UNIQUE (event_id, destination, replay_id),
    CHECK ((status = 'pending') = (due_at IS NOT NULL)),
    CHECK (lease_until IS NULL OR status = 'pending'),
    CHECK ((lease_until IS NULL) = (lease_owner IS NULL)),
    CHECK ((status IN ('delivered', 'dead')) = (finished_at IS NOT NULL))
);
CREATE INDEX deliveries_due ON deliveries (destination, due_at) WHERE status = 'pending';
CREATE INDEX deliveries_waiting ON deliveries (status, destination, id) WHERE status IN ('held', 'dead');

CREATE TABLE attempts (
    id TEXT NOT NULL PRIMARY KEY,
    delivery_id TEXT NOT NULL,
    number BIGINT NOT NULL CHECK (number > 0),
    started_at BIGINT NOT NULL,
    duration_ms BIGINT NOT NULL CHECK (duration_ms >= 0),
    outcome TEXT NOT NULL CHECK (outcome IN
        ('delivered', 'failed', 'throttled', 'rejected', 'gone', 'interrupted')),
    status_code BIGINT,
    reason TEXT,
    response BYTEA NOT NULL,
    next_at BIGINT,
    UNIQUE (delivery_id, number)
);

-- Answers to POSTs that carried an Idempotency-Key, kept a day.
CREATE TABLE idempotency (
    key TEXT NOT NULL PRIMARY KEY,
    request TEXT NOT NULL,
    status BIGINT NOT NULL,
    body TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX idempotency_age ON idempotency (created_at);
