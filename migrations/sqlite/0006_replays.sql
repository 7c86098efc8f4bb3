-- Following events as they are committed, and telling many of them again.
-- The same tables and columns as ../postgres/0006_replays.sql; a test compares the two.

-- The order of commits (../postgres/0001_initial.sql); here it is `seq`, and the index stays empty.
CREATE INDEX events_commit ON events (xact, seq) WHERE xact > 0;

-- Many events told again, by a worker: where it stands is moved together with what it makes.
CREATE TABLE replays (
    id TEXT NOT NULL PRIMARY KEY,
    -- Whose key made it; of none where it was the administrator's.
    team TEXT,
    status TEXT NOT NULL CHECK (status IN ('running', 'done', 'cancelled')),
    since INTEGER NOT NULL,
    until INTEGER NOT NULL,
    source TEXT,
    type TEXT,
    destination TEXT,
    url TEXT,
    delivery_status TEXT CHECK (delivery_status IN ('pending', 'delivered', 'held', 'dead')),
    rate TEXT,
    -- What was handled last: all before it in order is done. Empty at the beginning.
    position TEXT NOT NULL,
    events_total INTEGER NOT NULL CHECK (events_total >= 0),
    -- Whether that was counted, and not estimated.
    is_exact INTEGER NOT NULL CHECK (is_exact IN (0, 1)),
    events_done INTEGER NOT NULL CHECK (events_done >= 0),
    deliveries INTEGER NOT NULL CHECK (deliveries >= 0),
    -- Events that were pruned, or whose destination was removed, before their turn came.
    skipped INTEGER NOT NULL CHECK (skipped >= 0),
    -- When the next page is due; while one is being made, when that lease ends.
    due_at INTEGER,
    lease_owner TEXT,
    -- The fencing token.
    lease INTEGER NOT NULL CHECK (lease >= 0),
    created_at INTEGER NOT NULL,
    finished_at INTEGER,
    CHECK (destination IS NULL OR url IS NULL),
    CHECK ((status = 'running') = (due_at IS NOT NULL)),
    CHECK ((status = 'running') = (finished_at IS NULL)),
    CHECK (lease_owner IS NULL OR status = 'running')
) STRICT;
CREATE INDEX replays_due ON replays (due_at) WHERE status = 'running';

-- Events told again to whoever listens by a name, kept for a day.
CREATE TABLE listener_replays (
    id TEXT NOT NULL PRIMARY KEY,
    listener TEXT NOT NULL,
    -- Whose key aimed it; of none where it was the administrator's.
    team TEXT,
    event_id TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    -- When a listener first had it.
    delivered_at INTEGER
) STRICT;
CREATE INDEX listener_replays_listener ON listener_replays (listener, id);
