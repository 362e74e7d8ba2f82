-- What is known of the completeness of studies. It follows from all records of a study, so the view is emptied, and
-- the log fills it again.
DELETE FROM offsets;
DELETE FROM quarantine;
DELETE FROM decisions;
DELETE FROM conflicts;
DELETE FROM siblings;
DELETE FROM recording_documents;
DELETE FROM recordings;
DELETE FROM originals;
DELETE FROM documents;
DELETE FROM patients;
DELETE FROM instances;
DELETE FROM series;
DELETE FROM studies;

-- A row for each study that any record named. Times are µs since 1970, 0 for none.
CREATE TABLE completeness (
	tenant             {text}  NOT NULL,
	study_instance_uid {text}  NOT NULL,
	content            {text}  NOT NULL, -- digest of the instances that readers see
	last_event         BIGINT  NOT NULL, -- newest record of an object
	last_received      BIGINT  NOT NULL, -- newest object
	sent               BIGINT  NOT NULL, -- newest signal that the study was sent whole
	signal             {text}  NOT NULL,
	revision           BIGINT  NOT NULL, -- newest study.complete, 0 for none
	announced          {text}  NOT NULL, -- its digest
	event_id           {text}  NOT NULL,
	completed          BIGINT  NOT NULL,
	reason             {text}  NOT NULL,
	updated            BIGINT  NOT NULL, -- newest revision of which a study.updated said that it does not hold
	state              BIGINT  NOT NULL, -- follows from the other columns: 0 settled, 1 waits, 2 a signal came, 3 changed and nobody was told
	PRIMARY KEY (tenant, study_instance_uid)
);
CREATE INDEX completeness_open ON completeness (state, last_event, tenant, study_instance_uid) WHERE state > 0;

-- Records that are decided, and wait until they are seen in the log. They are no part of the view: what is in the log
-- takes them out.
CREATE TABLE announcements (
	tenant             {text}  NOT NULL,
	study_instance_uid {text}  NOT NULL,
	event_type         {text}  NOT NULL,
	revision           BIGINT  NOT NULL,
	event_id           {text}  NOT NULL,
	made               BIGINT  NOT NULL,
	event              {text}  NOT NULL, -- the record in the JSON format of CloudEvents
	PRIMARY KEY (tenant, study_instance_uid, event_type, revision)
);
CREATE INDEX announcements_oldest ON announcements (made, event_id);

-- Who does what one process does at a time.
CREATE TABLE leases (
	name  {text}  NOT NULL PRIMARY KEY,
	owner {text}  NOT NULL,
	until BIGINT  NOT NULL -- µs since 1970, by the data base's clock
);
