-- What teams were told of the trouble of their destinations and sources, so that each change is told once.
-- The same tables and columns as ../sqlite/0007_notices.sql; a test compares the two.

-- Since when its team knows of trouble; empty while it is well.
ALTER TABLE destination_states ADD COLUMN trouble_at BIGINT;
-- When `delivery.dead` was told, since it was last well.
ALTER TABLE destination_states ADD COLUMN told_dead_at BIGINT
    CHECK (told_dead_at IS NULL OR trouble_at IS NOT NULL);
-- Deliveries that died since it was last well.
ALTER TABLE destination_states ADD COLUMN dead_count BIGINT NOT NULL DEFAULT 0 CHECK (dead_count >= 0);
-- When a delivery last died.
ALTER TABLE destination_states ADD COLUMN dead_at BIGINT;
-- When it was last told to be well again.
ALTER TABLE destination_states ADD COLUMN recovered_at BIGINT;

-- What trouble of the source is told, since when, and why; empty while it is well.
ALTER TABLE source_states ADD COLUMN trouble TEXT
    CHECK (trouble IN ('silent', 'failing', 'unreadable', 'refused'));
-- When it was told.
ALTER TABLE source_states ADD COLUMN trouble_at BIGINT CHECK ((trouble IS NULL) = (trouble_at IS NULL));
-- When it began.
ALTER TABLE source_states ADD COLUMN trouble_since BIGINT CHECK ((trouble IS NULL) = (trouble_since IS NULL));
ALTER TABLE source_states ADD COLUMN trouble_reason TEXT CHECK ((trouble IS NULL) = (trouble_reason IS NULL));
-- When it was last told to be well again.
ALTER TABLE source_states ADD COLUMN recovered_at BIGINT;
