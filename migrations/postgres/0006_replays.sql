-- Following events as they are committed, and telling many of them again.
-- The same tables and columns as ../sqlite/0006_replays.sql; a test compares the two.

-- The order of commits, without what SQLite would have in it.
CREATE INDEX events_commit ON events (xact, seq) WHERE xact > 0;

-- Many events told again, by a worker: where it stands is moved together with what it makes.
CREATE TABLE replays (
    id TEXT NOT NULL PRIMARY KEY,
    -- Whose key made it; of none where it was the administrator's.
    team TEXT,
    status TEXT NOT NULL CHECK (status IN ('running', 'done', 'cancelled')),
    since BIGINT NOT NULL,
    until BIGINT NOT NULL,
    source TEXT,
    type TEXT,
    destination TEXT,
    url TEXT,
    delivery_status TEXT CHECK (delivery_status IN ('pending', 'delivered', 'held', 'dead')),
    rate TEXT,
    -- What was handled last: all before it in order is done. Empty at the beginning.
    position TEXT NOT NULL,
    events_total BIGINT NOT NULL CHECK (events_total >= 0),
    -- Whether that was counted, and not estimated.
    is_exact BIGINT NOT NULL CHECK (is_exact IN (0, 1)),
    events_done BIGINT NOT NULL CHECK (events_done >= 0),
    deliveries BIGINT NOT NULL CHECK (deliveries >= 0),
    -- Events that were pruned, or whose destination was removed, before their turn came.
    skipped BIGINT NOT NULL CHECK (skipped >= 0),
    -- When the next page is due; while one is being made, when that lease ends.
    due_at BIGINT,
    lease_owner TEXT,
    -- The fencing token.
    lease BIGINT NOT NULL CHECK (lease >= 0),
    created_at BIGINT NOT NULL,
    finished_at BIGINT,
    CHECK (destination IS NULL OR url IS NULL),
    CHECK ((status = 'running') = (due_at IS NOT NULL)),
    CHECK ((status = 'running') = (finished_at IS NULL)),
    CHECK (lease_owner IS NULL OR status = 'running')
);
CREATE INDEX replays_due ON replays (due_at) WHERE status = 'running';

-- Events told again to whoever listens by a name, kept for a day.
CREATE TABLE listener_replays (
    id TEXT NOT NULL PRIMARY KEY,
    listener TEXT NOT NULL,
    -- Whose key aimed it; of none where it was the administrator's.
    team TEXT,
    event_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    -- When a listener first had it.
    delivered_at BIGINT
);
CREATE INDEX listener_replays_listener ON listener_replays (listener, id);
