-- Studies of several patients; bounds of what lies in an index. Rows of before would differ from rows made of the
-- same events now, so the view is emptied, and the log fills it again.
DELETE FROM offsets;
DELETE FROM quarantine;
DELETE FROM decisions;
DELETE FROM conflicts;
DELETE FROM siblings;
DELETE FROM documents;
DELETE FROM instances;
DELETE FROM series;
DELETE FROM studies;

ALTER TABLE instances ADD COLUMN patient BIGINT NOT NULL DEFAULT 0; -- hash of how it tells the patient
ALTER TABLE studies ADD COLUMN patient BIGINT NOT NULL DEFAULT 0; -- of the instances while they agree
ALTER TABLE studies ADD COLUMN patients BIGINT NOT NULL DEFAULT 0; -- ways in which they tell the patient
ALTER TABLE studies ADD COLUMN mixed BIGINT NOT NULL DEFAULT 0; -- 1 when these are not one person
CREATE INDEX studies_mixed ON studies (tenant, first_received, study_instance_uid) WHERE mixed = 1;

-- Of studies with several ways, each of them, the first one too.
CREATE TABLE patients (
	study_id         BIGINT  NOT NULL,
	tenant           {text}  NOT NULL,
	first_received   BIGINT  NOT NULL, -- µs since 1970, of the first instance that tells it so
	first_object     {text}  NOT NULL,
	instances        BIGINT  NOT NULL,
	birth_day        {text}  NOT NULL,
	patient_id       {text},
	name_alphabetic  {text},
	name_ideographic {text},
	name_phonetic    {text},
	names            {text}  NOT NULL,
	words            {text}  NOT NULL,
	terms            {text}  NOT NULL,
	attributes       {bytes} NOT NULL,
	PRIMARY KEY (study_id, first_received, first_object)
);
CREATE INDEX patients_id ON patients (tenant, patient_id);

DROP INDEX studies_newest;
CREATE INDEX studies_newest ON studies (tenant, day, clock, first_received, study_instance_uid{besides}
	modalities, names, patient_id, accession_number, description);
