-- Words in braces are the dialect's: {text} compares bytes, {bytes} is binary, {id} is a 64-bit primary key.
-- A day, clock or instant column is '' where the attribute is absent or not a date; a text column that
-- queries may name is NULL where it is absent, so that indexes leave it out.

CREATE TABLE studies (
	id                 {id},
	tenant             {text}  NOT NULL,
	study_instance_uid {text}  NOT NULL,
	first_received     BIGINT  NOT NULL, -- µs since 1970, of the instance that the attributes come from
	first_object       {text}  NOT NULL,
	first_instance     BIGINT  NOT NULL,
	day                {text}  NOT NULL,
	clock              {text}  NOT NULL,
	birth_day          {text}  NOT NULL,
	patient_id         {text},
	accession_number   {text},
	description        {text},
	name_alphabetic    {text},
	name_ideographic   {text},
	name_phonetic      {text},
	names              {text}  NOT NULL, -- all component groups, for patterns that name no beginning
	words              {text}  NOT NULL, -- for fuzzy matching
	modalities         {text}  NOT NULL, -- \CT\US\
	sop_classes        {text}  NOT NULL, -- \1.2.840…\
	terms              {text}  NOT NULL, -- the attributes without a column
	attributes         {bytes} NOT NULL
);
CREATE UNIQUE INDEX studies_uid ON studies (tenant, study_instance_uid);
-- Most searches walk this one backwards until they have a page; what they filter by rides along.
CREATE INDEX studies_newest ON studies (tenant, day, clock, first_received, study_instance_uid,
	modalities, names, patient_id, accession_number, description);
CREATE INDEX studies_patient ON studies (tenant, patient_id, day) WHERE patient_id IS NOT NULL;
CREATE INDEX studies_accession ON studies (tenant, accession_number) WHERE accession_number IS NOT NULL;
CREATE INDEX studies_alphabetic ON studies (tenant, name_alphabetic) WHERE name_alphabetic IS NOT NULL;
CREATE INDEX studies_ideographic ON studies (tenant, name_ideographic) WHERE name_ideographic IS NOT NULL;
CREATE INDEX studies_phonetic ON studies (tenant, name_phonetic) WHERE name_phonetic IS NOT NULL;

CREATE TABLE series (
	id                  {id},
	study_id            BIGINT  NOT NULL,
	series_instance_uid {text}  NOT NULL,
	first_received      BIGINT  NOT NULL,
	first_object        {text}  NOT NULL,
	first_instance      BIGINT  NOT NULL,
	number              BIGINT  NOT NULL, -- 2^63-1 where there is none, so that it sorts last
	modality            {text},
	day                 {text}  NOT NULL,
	clock               {text}  NOT NULL,
	step_day            {text}  NOT NULL,
	step_clock          {text}  NOT NULL,
	sop_classes         {text}  NOT NULL,
	instances           BIGINT  NOT NULL,
	terms               {text}  NOT NULL,
	attributes          {bytes} NOT NULL
);
CREATE UNIQUE INDEX series_uid ON series (series_instance_uid, study_id);
CREATE UNIQUE INDEX series_of_study ON series (study_id, number, series_instance_uid);

-- Every data set of every SOP Instance UID. superseded is '' for the one that readers see, and the
-- data set's hash and transfer syntax for all others, which belong to no series.
CREATE TABLE instances (
	id                  {id},
	tenant              {text}  NOT NULL,
	sop_instance_uid    {text}  NOT NULL,
	superseded          {text}  NOT NULL,
	dataset_sha256      {text}  NOT NULL,
	series_id           BIGINT  NOT NULL, -- 0 when superseded
	number              BIGINT  NOT NULL,
	object_id           {text}  NOT NULL,
	event_id            {text}  NOT NULL,
	received            BIGINT  NOT NULL,
	door                {text}  NOT NULL,
	remote              {text}  NOT NULL,
	sop_class_uid       {text}  NOT NULL,
	transfer_syntax_uid {text}  NOT NULL,
	media_type          {text}  NOT NULL,
	blob_key            {text}  NOT NULL,
	bytes               BIGINT  NOT NULL,
	sha256              {text}  NOT NULL,
	dataset_offset      BIGINT  NOT NULL,
	content_day         {text}  NOT NULL,
	content_clock       {text}  NOT NULL,
	acquisition_day     {text}  NOT NULL,
	acquisition_clock   {text}  NOT NULL,
	acquired            {text}  NOT NULL,
	terms               {text}  NOT NULL,
	attributes          {bytes} NOT NULL
);
CREATE UNIQUE INDEX instances_uid ON instances (tenant, sop_instance_uid, superseded);
CREATE INDEX instances_of_series ON instances (series_id, number, sop_instance_uid);

-- What searches never touch: all attributes of the instance, and its attachments as they came.
CREATE TABLE documents (
	instance_id     {id},
	attributes      {bytes} NOT NULL,
	header_encoding {text}  NOT NULL, -- '' when the event had none
	header_bytes    BIGINT  NOT NULL,
	header_key      {text}  NOT NULL,
	header          {bytes},
	layout_encoding {text}  NOT NULL,
	layout_bytes    BIGINT  NOT NULL,
	layout_key      {text}  NOT NULL,
	layout          {bytes}
);

-- Objects that share a SOP Instance UID with another object: versions, and copies of the same data set.
CREATE TABLE siblings (
	tenant           {text} NOT NULL,
	sop_instance_uid {text} NOT NULL,
	dataset_sha256   {text} NOT NULL, -- and transfer syntax
	object_id        {text} NOT NULL,
	PRIMARY KEY (tenant, sop_instance_uid, dataset_sha256, object_id)
);
CREATE INDEX siblings_object ON siblings (object_id);

-- SOP Instance UIDs with several data sets that wait for a person.
CREATE TABLE conflicts (
	tenant           {text} NOT NULL,
	sop_instance_uid {text} NOT NULL,
	received         BIGINT NOT NULL, -- of the newest version
	PRIMARY KEY (tenant, sop_instance_uid)
);
CREATE INDEX conflicts_newest ON conflicts (tenant, received, sop_instance_uid);

CREATE TABLE decisions (
	object_id {text} NOT NULL,
	event_id  {text} NOT NULL,
	about     {text} NOT NULL, -- 'conflict' or 'quarantine'
	action    {text} NOT NULL,
	decided   BIGINT NOT NULL,
	PRIMARY KEY (object_id, event_id)
);

CREATE TABLE quarantine (
	tenant    {text}  NOT NULL,
	object_id {text}  NOT NULL,
	event_id  {text}  NOT NULL,
	received  BIGINT  NOT NULL,
	sha256    {text}  NOT NULL, -- of the file, to recognise a second copy
	entry     {bytes} NOT NULL, -- JSON of Quarantined
	PRIMARY KEY (tenant, object_id)
);
CREATE INDEX quarantine_newest ON quarantine (tenant, received, object_id);
CREATE INDEX quarantine_bytes ON quarantine (tenant, sha256);
CREATE INDEX quarantine_object ON quarantine (object_id);

CREATE TABLE offsets (
	topic     {text} NOT NULL,
	partition BIGINT NOT NULL,
	applied   BIGINT NOT NULL,
	PRIMARY KEY (topic, partition)
);
