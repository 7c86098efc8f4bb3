-- Who is signed in to the dashboard.
-- The same tables and columns as ../postgres/0009_sessions.sql; a test compares the two.

CREATE TABLE sessions (
    -- Of the random token in the cookie; the token itself is nowhere here.
    hash TEXT NOT NULL PRIMARY KEY,
    -- The key that was signed in with: without it, the session is none.
    key_id TEXT,
    -- Or the hash of the administrator's key of the configuration.
    admin_hash TEXT,
    created_at INTEGER NOT NULL,
    -- It ends then, however much it is used.
    ends_at INTEGER NOT NULL,
    -- It ends then, if it is not used.
    expires_at INTEGER NOT NULL CHECK (expires_at <= ends_at),
    CHECK ((key_id IS NULL) <> (admin_hash IS NULL))
) STRICT;
CREATE INDEX sessions_expired ON sessions (expires_at);
