-- Files of devices that are no DICOM objects; what ECG recordings say. Files of before lie among the instances, so the
-- view is emptied, and the log fills it again.
DELETE FROM offsets;
DELETE FROM quarantine;
DELETE FROM decisions;
DELETE FROM conflicts;
DELETE FROM siblings;
DELETE FROM documents;
DELETE FROM patients;
DELETE FROM instances;
DELETE FROM series;
DELETE FROM studies;

-- Object id of the original that an instance was made of, '' for all others.
ALTER TABLE instances ADD COLUMN derived_from {text} NOT NULL DEFAULT '';
CREATE INDEX instances_derived ON instances (tenant, object_id) WHERE derived_from <> '';

-- The newest event of each original. These are not instances: nothing that reads DICOM looks here.
CREATE TABLE originals (
	tenant              {text}  NOT NULL,
	object_id           {text}  NOT NULL,
	event_id            {text}  NOT NULL,
	source_uid          {text}  NOT NULL, -- as though the file were an instance
	derived_uid         {text}  NOT NULL, -- SOP Instance UID of the DICOM object that is made of it
	study_instance_uid  {text}  NOT NULL,
	series_instance_uid {text}  NOT NULL,
	received            BIGINT  NOT NULL, -- µs since 1970
	door                {text}  NOT NULL,
	remote              {text}  NOT NULL,
	device              {text}  NOT NULL,
	facility            {text}  NOT NULL,
	filename            {text}  NOT NULL, -- as the sender named it
	format              {text}  NOT NULL,
	media_type          {text}  NOT NULL,
	transfer_syntax_uid {text}  NOT NULL, -- '' unless the event has one
	blob_key            {text}  NOT NULL,
	bytes               BIGINT  NOT NULL,
	sha256              {text}  NOT NULL,
	dataset_sha256      {text}  NOT NULL,
	attributes          {bytes} NOT NULL,
	PRIMARY KEY (tenant, object_id)
);
CREATE INDEX originals_source ON originals (tenant, source_uid);
CREATE INDEX originals_derived ON originals (tenant, derived_uid);

-- What a recording says, of each instance that has it (all versions) and of each original. Numbers are NULL where the
-- recording has none.
CREATE TABLE recordings (
	instance_id           BIGINT  NOT NULL, -- 0 of an original
	tenant                {text}  NOT NULL,
	original              {text}  NOT NULL, -- its object id, '' of an instance
	object_id             {text}  NOT NULL,
	derived_from          {text}  NOT NULL,
	derived_uid           {text}  NOT NULL, -- of an original: the instance that is shown in its place
	study_instance_uid    {text}  NOT NULL,
	series_instance_uid   {text}  NOT NULL,
	sop_instance_uid      {text}  NOT NULL,
	received              BIGINT  NOT NULL,
	day                   {text}  NOT NULL, -- of the recording, '' when unknown
	patient_id            {text},
	priority              {text}  NOT NULL,
	findings              {text}  NOT NULL, -- \acute-mi\asystole\
	paced                 BIGINT  NOT NULL, -- -1 when unknown
	leads                 {text}  NOT NULL, -- \i\ii\v1\
	statements            {text}  NOT NULL, -- folded
	ventricular_rate      DOUBLE PRECISION, -- /min
	pr_interval           DOUBLE PRECISION, -- ms
	qrs_duration          DOUBLE PRECISION, -- ms
	qt_interval           DOUBLE PRECISION, -- ms
	qtc_interval          DOUBLE PRECISION, -- ms
	qrs_axis              DOUBLE PRECISION, -- degrees
	duration              DOUBLE PRECISION, -- ms
	sampling_frequency    DOUBLE PRECISION, -- Hz
	PRIMARY KEY (instance_id, tenant, original)
);

-- What searches never touch of a recording.
CREATE TABLE recording_documents (
	instance_id BIGINT  NOT NULL,
	tenant      {text}  NOT NULL,
	original    {text}  NOT NULL,
	attributes  {bytes} NOT NULL,
	facts       {bytes}, -- JSON of event.ECG
	reasons     {bytes}, -- JSON of []event.Finding
	PRIMARY KEY (instance_id, tenant, original)
);
-- The numbers ride along: a search for a rare one walks this index, and looks only at rows that it takes.
CREATE INDEX recordings_newest ON recordings (tenant, received, object_id, ventricular_rate, pr_interval, qrs_duration,
	qt_interval, qtc_interval, qrs_axis, duration, sampling_frequency);
CREATE INDEX recordings_urgent ON recordings (tenant, priority, received, object_id);
CREATE INDEX recordings_day ON recordings (tenant, day);
CREATE INDEX recordings_study ON recordings (tenant, study_instance_uid);
CREATE INDEX recordings_patient ON recordings (tenant, patient_id) WHERE patient_id IS NOT NULL;
