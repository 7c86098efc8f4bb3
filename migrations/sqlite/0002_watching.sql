-- What is watched until its end is known, what was asked and answered, and how sources are faring.
-- The same tables and columns as ../postgres/0002_watching.sql; a test compares the two.

-- Without the foreign keys among what is written for each callback: their checks cost a good part of it,
-- and who removes rows removes them together. SQLite drops them by making the tables anew.
CREATE TABLE new_deliveries (
    id TEXT NOT NULL PRIMARY KEY,
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
INSERT INTO new_deliveries SELECT * FROM deliveries;
CREATE TABLE new_attempts (
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
INSERT INTO new_attempts SELECT * FROM attempts;
DROP TABLE attempts;
DROP TABLE deliveries;
ALTER TABLE new_deliveries RENAME TO deliveries;
ALTER TABLE new_attempts RENAME TO attempts;
CREATE INDEX deliveries_due ON deliveries (destination, due_at) WHERE status = 'pending';
CREATE INDEX deliveries_waiting ON deliveries (status, destination, id) WHERE status IN ('held', 'dead');

-- A task whose end is not known, or not certain. What the queue of questions needs stands in columns, the
-- rest in `state` (JSON of `domain::watch::Watch`).
CREATE TABLE watches (
    source TEXT NOT NULL,
    task_id TEXT NOT NULL,
    -- Relayed, registered, listed by the provider, or known to it when asked.
    vouched INTEGER NOT NULL CHECK (vouched IN (0, 1)),
    -- When the provider is asked; while it is being asked, when that lease ends.
    ask_at INTEGER,
    -- When something is told without an answer.
    look_at INTEGER,
    lease_owner TEXT,
    -- The relayed request that made it.
    intent_id TEXT,
    state TEXT NOT NULL,
    PRIMARY KEY (source, task_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX watches_ask ON watches (source, vouched, ask_at) WHERE ask_at IS NOT NULL;
-- Asked for with the key of the client that relayed them.
CREATE INDEX watches_relayed ON watches (source, ask_at) WHERE intent_id IS NOT NULL AND ask_at IS NOT NULL;
CREATE INDEX watches_look ON watches (look_at) WHERE look_at IS NOT NULL;

-- Answers of providers, one row for all that say the same one after another.
CREATE TABLE polls (
    id TEXT NOT NULL PRIMARY KEY,
    source TEXT NOT NULL,
    task_id TEXT NOT NULL,
    outcome TEXT NOT NULL,
    detail TEXT,
    at INTEGER NOT NULL,
    repeats INTEGER NOT NULL CHECK (repeats >= 0),
    repeated_at INTEGER,
    -- The answer as it came, where somebody is to get it.
    body BLOB
) STRICT;
CREATE INDEX polls_task ON polls (source, task_id, id);

CREATE TABLE source_states (
    name TEXT NOT NULL PRIMARY KEY,
    added_at INTEGER NOT NULL,
    -- When a key first found a task, and a hash of that key and of where it was asked with it: from then on a
    -- task that it does not find is unknown to the provider.
    found_at INTEGER,
    found_with TEXT,
    -- Since when its key is refused, and why.
    refused_at INTEGER,
    refused_reason TEXT,
    -- The provider's list has been read up to tasks of this time.
    listed_at INTEGER,
    CHECK ((found_at IS NULL) = (found_with IS NULL)),
    CHECK ((refused_at IS NULL) = (refused_reason IS NULL))
) STRICT;

-- Relayed requests that make a task, written before the provider is asked.
CREATE TABLE intents (
    id TEXT NOT NULL PRIMARY KEY,
    source TEXT NOT NULL,
    -- The client's Idempotency-Key: the same again is the same intent.
    idempotency_key TEXT,
    metadata TEXT NOT NULL,
    -- The client's own key, sealed, while its task needs it.
    sealed_key TEXT,
    -- The client's own callback URL.
    client_url TEXT,
    created_at INTEGER NOT NULL,
    -- What the provider answered; empty where a crash hid it.
    status INTEGER,
    task_id TEXT,
    -- Whether a callback came for it.
    called_back INTEGER NOT NULL CHECK (called_back IN (0, 1)),
    UNIQUE (source, idempotency_key)
) STRICT;
CREATE INDEX intents_task ON intents (source, task_id) WHERE task_id IS NOT NULL;
