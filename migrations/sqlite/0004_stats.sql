-- Statistics, and how far the works in the background have come.
-- The same tables and columns as ../postgres/0004_stats.sql; a test compares the two.

-- What events come to, by day in UTC, source and model (empty where none is known).
CREATE TABLE rollups (
    day TEXT NOT NULL,
    source TEXT NOT NULL,
    model TEXT NOT NULL,
    completed INTEGER NOT NULL CHECK (completed >= 0),
    failed INTEGER NOT NULL CHECK (failed >= 0),
    cancelled INTEGER NOT NULL CHECK (cancelled >= 0),
    told_by_poll INTEGER NOT NULL CHECK (told_by_poll >= 0),
    disputed INTEGER NOT NULL CHECK (disputed >= 0),
    conflicts INTEGER NOT NULL CHECK (conflicts >= 0),
    micro_credits INTEGER NOT NULL CHECK (micro_credits >= 0),
    -- How often each duration was seen: JSON of `domain::rollup::Histogram`.
    generation TEXT NOT NULL,
    callback_delay TEXT NOT NULL,
    PRIMARY KEY (day, source, model)
) STRICT;

-- One row for each work in the background: the place in the tail of events up to which it is done, and when it last began.
CREATE TABLE chores (
    name TEXT NOT NULL PRIMARY KEY,
    xact INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    begun_at INTEGER NOT NULL
) STRICT;
INSERT INTO chores (name, xact, seq, begun_at) VALUES ('rollup', 0, 0, 0), ('retention', 0, 0, 0);
