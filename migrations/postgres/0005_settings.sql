-- Settings that are made at run time, who changed what, and what a change leaves to be cleared away.
-- The same tables and columns as ../sqlite/0005_settings.sql; a test compares the two.

-- A secret that was replaced goes on until then.
ALTER TABLE secrets ADD COLUMN retires_at BIGINT;

-- Its name stays its team's, under which the deliveries of before are shown.
ALTER TABLE destinations ADD COLUMN removed_at BIGINT;

ALTER TABLE teams ADD COLUMN description TEXT;

CREATE TABLE sources (
    name TEXT NOT NULL PRIMARY KEY,
    -- What was given, as JSON; sealed where there is a key, as are `destinations.settings` and `secrets.value`.
    settings TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- When each callback token was last used, whether a file declares it or a row of `secrets`.
CREATE TABLE token_uses (
    source TEXT NOT NULL,
    token TEXT NOT NULL,
    last_used_at BIGINT NOT NULL,
    PRIMARY KEY (source, token)
);

-- What is cleared away in batches, as it may be much: the deliveries of a destination that was removed, those held
-- that are dropped, the watches of a source that was removed.
CREATE TABLE sweeps (
    kind TEXT NOT NULL CHECK (kind IN ('destination', 'held', 'source')),
    name TEXT NOT NULL,
    begun_at BIGINT NOT NULL,
    PRIMARY KEY (kind, name)
);

-- Who changed what.
CREATE TABLE audit (
    id TEXT NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    -- Empty for the administrator's key of the configuration.
    key_id TEXT,
    key_name TEXT NOT NULL,
    -- The team that it concerns; empty where it concerns all.
    team TEXT,
    action TEXT NOT NULL,
    object TEXT NOT NULL,
    detail TEXT
);
CREATE INDEX audit_team ON audit (team, id);
CREATE INDEX audit_action ON audit (action, id);
CREATE INDEX audit_object ON audit (object, id);

-- The keys of clients, to be forgotten with their source or sealed anew.
CREATE INDEX intents_sealed ON intents (source, id) WHERE sealed_key IS NOT NULL;
