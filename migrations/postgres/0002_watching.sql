-- What is watched until its end is known, what was asked and answered, and how sources are faring.
-- The same tables and columns as ../sqlite/0002_watching.sql; a test compares the two.

-- Without the foreign keys among what is written for each callback: their checks cost a good part of it,
-- and who removes rows removes them together.
ALTER TABLE deliveries DROP CONSTRAINT deliveries_event_id_fkey;
ALTER TABLE attempts DROP CONSTRAINT attempts_delivery_id_fkey;

-- A task whose end is not known, or not certain. What the queue of questions needs stands in columns, the
-- rest in `state` (JSON of `domain::watch::Watch`).
CREATE TABLE watches (
    source TEXT NOT NULL,
    task_id TEXT NOT NULL,
    -- Relayed, registered, listed by the provider, or known to it when asked.
    vouched BIGINT NOT NULL CHECK (vouched IN (0, 1)),
    -- When the provider is asked; while it is being asked, when that lease ends.
    ask_at BIGINT,
    -- When something is told without an answer.
    look_at BIGINT,
    lease_owner TEXT,
    -- The relayed request that made it.
    intent_id TEXT,
    state TEXT NOT NULL,
    PRIMARY KEY (source, task_id)
);
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
    at BIGINT NOT NULL,
    repeats BIGINT NOT NULL CHECK (repeats >= 0),
    repeated_at BIGINT,
    -- The answer as it came, where somebody is to get it.
    body BYTEA
);
CREATE INDEX polls_task ON polls (source, task_id, id);

CREATE TABLE source_states (
    name TEXT NOT NULL PRIMARY KEY,
    added_at BIGINT NOT NULL,
    -- When a key first found a task, and a hash of that key and of where it was asked with it: from then on a
    -- task that it does not find is unknown to the provider.
    found_at BIGINT,
    found_with TEXT,
    -- Since when its key is refused, and why.
    refused_at BIGINT,
    refused_reason TEXT,
    -- The provider's list has been read up to tasks of this time.
    listed_at BIGINT,
    CHECK ((found_at IS NULL) = (found_with IS NULL)),
    CHECK ((refused_at IS NULL) = (refused_reason IS NULL))
);

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
    created_at BIGINT NOT NULL,
    -- What the provider answered; empty where a crash hid it.
    status BIGINT,
    task_id TEXT,
    -- Whether a callback came for it.
    called_back BIGINT NOT NULL CHECK (called_back IN (0, 1)),
    UNIQUE (source, idempotency_key)
);
CREATE INDEX intents_task ON intents (source, task_id) WHERE task_id IS NOT NULL;
