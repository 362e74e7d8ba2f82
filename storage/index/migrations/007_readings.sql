-- Which record of an object described it, so that an older parser's never takes the place of a newer one's: parser
-- version, then the record's id. Rows of before are of version 0, as the events that made them.
ALTER TABLE instances ADD COLUMN parser_version BIGINT NOT NULL DEFAULT 0;
ALTER TABLE instances ADD COLUMN described_by {text} NOT NULL DEFAULT '';
-- The same of where its bytes are and how they lie, which an object whose bytes were replaced has from another record.
ALTER TABLE instances ADD COLUMN located_version BIGINT NOT NULL DEFAULT 0;
ALTER TABLE instances ADD COLUMN located_by {text} NOT NULL DEFAULT '';
-- Of an object that was made of an original: the parsers that made it.
ALTER TABLE instances ADD COLUMN derived_version BIGINT NOT NULL DEFAULT 0;
UPDATE instances SET described_by = event_id, located_by = event_id;

ALTER TABLE originals ADD COLUMN parser_version BIGINT NOT NULL DEFAULT 0;
ALTER TABLE originals ADD COLUMN described_by {text} NOT NULL DEFAULT '';
UPDATE originals SET described_by = event_id;

ALTER TABLE quarantine ADD COLUMN parser_version BIGINT NOT NULL DEFAULT 0;
