-- The words are those of state/records.py and state/delivery.py. Times are POSIX seconds.

CREATE TABLE meta (
  key   TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE connections (
  name          TEXT PRIMARY KEY,
  organizer_key TEXT NOT NULL DEFAULT '',
  account_key   TEXT NOT NULL DEFAULT '',
  status        TEXT NOT NULL DEFAULT 'active',
  reason        TEXT NOT NULL DEFAULT '',
  baseline_at   REAL,
  walked_from   REAL,
  walked_at     REAL
) WITHOUT ROWID;

CREATE TABLE scopes (
  id     INTEGER PRIMARY KEY,
  kind   TEXT NOT NULL,
  parent TEXT NOT NULL,
  phase  TEXT NOT NULL,
  UNIQUE (kind, parent)
);

-- One connection's way to one scope. The digest is per target: two connections see different webinar lists.
CREATE TABLE targets (
  connection    TEXT NOT NULL,
  scope         INTEGER NOT NULL REFERENCES scopes (id),
  organizer_key TEXT NOT NULL DEFAULT '',
  title         TEXT NOT NULL DEFAULT '',
  ends_at       REAL,
  polled_at     REAL,
  digest        BLOB NOT NULL DEFAULT x'',
  size          INTEGER NOT NULL DEFAULT 0,
  -- What its polls have shown: how much news, over how long a time.
  news          REAL NOT NULL DEFAULT 0,
  exposure      REAL NOT NULL DEFAULT 0,
  PRIMARY KEY (connection, scope)
) WITHOUT ROWID;
CREATE INDEX targets_by_scope ON targets (scope);

-- Clustered by scope, so that a walk reads and writes one run of pages.
CREATE TABLE records (
  scope       INTEGER NOT NULL,
  key         TEXT NOT NULL,
  fingerprint BLOB NOT NULL,
  body        BLOB,
  born        INTEGER NOT NULL,
  revision    INTEGER NOT NULL,
  presence    INTEGER NOT NULL,
  announced   INTEGER NOT NULL,
  previous    BLOB,
  PRIMARY KEY (scope, key)
) WITHOUT ROWID;

CREATE TABLE events (
  sequence      INTEGER PRIMARY KEY AUTOINCREMENT,
  id            TEXT NOT NULL UNIQUE,
  type          TEXT NOT NULL,
  subject       TEXT NOT NULL,
  partition_key TEXT NOT NULL,
  connection    TEXT NOT NULL,
  observed_at   REAL NOT NULL,
  body          BLOB NOT NULL
);
CREATE INDEX events_by_subject ON events (subject);
CREATE INDEX events_by_partition ON events (partition_key);

CREATE TABLE sinks (
  id           INTEGER PRIMARY KEY,
  name         TEXT NOT NULL UNIQUE,
  failures     INTEGER NOT NULL DEFAULT 0,
  retry_at     REAL NOT NULL DEFAULT 0,
  error        TEXT NOT NULL DEFAULT '',
  failed_at    REAL,
  delivered_at REAL,
  disabled     TEXT NOT NULL DEFAULT '',
  consumes     TEXT  -- of a consumer in the user's own program: a JSON list of event types
);

-- Webhook sinks made at run time; one sink may have several of them.
CREATE TABLE subscriptions (
  id         TEXT PRIMARY KEY,
  sink       INTEGER NOT NULL REFERENCES sinks (id),
  sealed     BLOB NOT NULL,
  created_at REAL NOT NULL
);

CREATE TABLE deliveries (
  sink          INTEGER NOT NULL REFERENCES sinks (id),
  sequence      INTEGER NOT NULL,
  partition_key TEXT NOT NULL,
  state         INTEGER NOT NULL,
  attempts      INTEGER NOT NULL DEFAULT 0,
  due_at        REAL NOT NULL DEFAULT 0,
  created_at    REAL NOT NULL,
  updated_at    REAL NOT NULL,
  held_by       TEXT NOT NULL DEFAULT '',
  error         TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (sink, sequence)
) WITHOUT ROWID;
-- What is owed is a small part of what was ever delivered; leasing must not read past the rest.
CREATE INDEX deliveries_pending ON deliveries (sink, sequence) WHERE state = 0;
CREATE INDEX deliveries_waiting ON deliveries (sink, due_at) WHERE state = 0 AND due_at > 0;
CREATE INDEX deliveries_odd ON deliveries (state, sink, sequence) WHERE state >= 2;
CREATE INDEX deliveries_by_event ON deliveries (sequence);

-- Failed attempts only: a delivery that succeeded at once needs no second row.
CREATE TABLE attempts (
  id       INTEGER PRIMARY KEY,
  sink     INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  at       REAL NOT NULL,
  error    TEXT NOT NULL
);
CREATE INDEX attempts_by_event ON attempts (sequence);

CREATE TABLE polls (
  id         INTEGER PRIMARY KEY,
  connection TEXT NOT NULL,
  kind       TEXT NOT NULL,
  parent     TEXT NOT NULL,
  started_at REAL NOT NULL,
  seconds    REAL NOT NULL,
  outcome    TEXT NOT NULL,
  calls      INTEGER NOT NULL,
  records    INTEGER NOT NULL,
  set_aside  INTEGER NOT NULL,
  added      INTEGER NOT NULL,
  changed    INTEGER NOT NULL,
  removed    INTEGER NOT NULL,
  note       TEXT NOT NULL
);

-- Blocks of calls, reserved before the first of them is sent. An open block of a dead process counts as just spent.
CREATE TABLE calls (
  id         INTEGER PRIMARY KEY,
  client     TEXT NOT NULL,
  connection TEXT NOT NULL,
  at         REAL NOT NULL,
  calls      INTEGER NOT NULL,
  open       INTEGER NOT NULL
);
CREATE INDEX calls_by_time ON calls (client, at);

-- "Not before": what a 429 asked of a client outlives the process that was told.
CREATE TABLE silences (
  client TEXT PRIMARY KEY,
  until  REAL NOT NULL
) WITHOUT ROWID;

CREATE TABLE tokens (
  connection TEXT PRIMARY KEY,
  sealed     BLOB NOT NULL,
  saved_at   REAL NOT NULL
) WITHOUT ROWID;

CREATE TABLE pauses (
  kind   TEXT NOT NULL,
  name   TEXT NOT NULL,
  since  REAL NOT NULL,
  reason TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (kind, name)
) WITHOUT ROWID;

CREATE TABLE forgotten (
  person BLOB PRIMARY KEY,
  at     REAL NOT NULL
) WITHOUT ROWID;
