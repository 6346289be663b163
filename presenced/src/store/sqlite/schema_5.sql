-- The whole schema of presence.db. The daemon carries this text and makes every new file from it; older files are
-- migrated to exactly this. Times are Unix milliseconds; NULL is never. For `IN` with more than two values SQLite would make
-- a temporary table with each row that is written.

PRAGMA application_id = 1886545267; -- "pres": a file of another program is refused
PRAGMA user_version = 5;

-- One row: what the database is.
CREATE TABLE presence_database (
  is_only  INTEGER NOT NULL PRIMARY KEY DEFAULT 1 CHECK (is_only = 1),
  -- Random, made with the schema: tells this database from every other. A copy has the same.
  identity TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO presence_database (identity) VALUES (lower(hex(randomblob(16))));

CREATE TABLE profile (
  user_id        TEXT    NOT NULL PRIMARY KEY,
  -- The status last published, and since when it holds.
  status         TEXT    NOT NULL DEFAULT 'OFFLINE'
    CHECK (status = 'ONLINE' OR status = 'IDLE' OR status = 'DO_NOT_DISTURB' OR status = 'OFFLINE'),
  since          INTEGER,
  -- The nodes where the user had connections, or lost ones in grace, as a JSON array of names: each as often as sessions
  -- would be in grace if it stopped. A node that starts gives the users it finds there the restart grace period.
  connected_on   TEXT    NOT NULL DEFAULT '[]' CHECK (json_valid(connected_on) AND json_type(connected_on) = 'array'),
  -- The custom status, when it was set, and by whom.
  custom_status  TEXT    NOT NULL DEFAULT 'ONLINE'
    CHECK (custom_status = 'ONLINE' OR custom_status = 'IDLE' OR custom_status = 'DO_NOT_DISTURB'),
  custom_set_at  INTEGER,
  custom_set_by  TEXT    CHECK (custom_set_by IN ('user', 'operator')),
  -- The version of the write that set it.
  custom_version INTEGER NOT NULL DEFAULT 0,
  -- Counts the writes of the custom status and of the reports: each takes the highest known version + 1.
  version        INTEGER NOT NULL DEFAULT 0,
  -- These two never go back.
  last_seen      INTEGER,
  last_active    INTEGER,
  -- Of which revision status, since and connected_on are. A lower revision never replaces them.
  revision       INTEGER NOT NULL DEFAULT 0,
  -- In a cluster: since when it has a version that the log may not have, by the database's clock; NULL if the log has it.
  unpublished    INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX profile_unpublished ON profile (user_id) WHERE unpublished IS NOT NULL;

-- Sessions held by outside gateways. They belong to no node and survive restarts.
CREATE TABLE report (
  user_id     TEXT    NOT NULL REFERENCES profile (user_id) ON DELETE CASCADE,
  source      TEXT    NOT NULL,
  status      TEXT    NOT NULL CHECK (status = 'ONLINE' OR status = 'IDLE' OR status = 'DO_NOT_DISTURB'),
  since       INTEGER NOT NULL,
  heard       INTEGER NOT NULL,
  -- The version of the write that made or refreshed it.
  version     INTEGER NOT NULL,
  last_active INTEGER,
  -- When it ends by itself; NULL: never.
  expires_at  INTEGER,
  -- The version of the write that first said what it says: it takes part if this is higher than custom_version. A refresh
  -- that says the same is nothing new.
  said        INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (user_id, source)
) STRICT, WITHOUT ROWID;

-- Users that were forgotten, for one to two hours in which the daemon runs: a write of this revision or a lower one that comes late is dropped, and
-- versions go on above this one, so that nothing that is known by its version is taken for what came after.
CREATE TABLE tombstone (
  -- SHA-256 of the user id, which itself must not stay here.
  user_hash    BLOB    NOT NULL PRIMARY KEY,
  revision     INTEGER NOT NULL,
  version      INTEGER NOT NULL,
  -- By the wall clock, for people who look. No clock ends a tombstone: its revision tells which are old.
  forgotten_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX tombstone_revision ON tombstone (revision);

-- What each node leaves for its next start.
CREATE TABLE heartbeat (
  node    TEXT    NOT NULL PRIMARY KEY,
  -- When the node was last alive.
  wall    INTEGER NOT NULL,
  -- The node gave no revision above this.
  ceiling INTEGER NOT NULL,
  -- 1 if the node ended with this heartbeat and had written everything.
  clean   INTEGER NOT NULL CHECK (clean IN (0, 1))
) STRICT, WITHOUT ROWID;

-- The changes of a node's last run, if it ended with everything written: cursors of that run resume in the next one.
CREATE TABLE history (
  node         TEXT    NOT NULL PRIMARY KEY,
  -- The random number of the run, which its cursors begin with.
  incarnation  INTEGER NOT NULL,
  -- The run knew every change since this revision.
  resumes_from INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
