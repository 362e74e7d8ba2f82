-- The last applied event, so that an index is never read together with another log than its own.
ALTER TABLE offsets ADD COLUMN event_id {text} NOT NULL DEFAULT '';
