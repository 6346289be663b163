-- The whole schema of a PostgreSQL database, as schema.sql is that of an SQLite one. The daemon carries this text and runs it
-- once, in one transaction, in the schema that the connection finds first (search_path). Times are Unix milliseconds.

-- One row: what the database is.
CREATE TABLE presence_database (
  is_only  BOOLEAN NOT NULL PRIMARY KEY DEFAULT true CHECK (is_only),
  version  BIGINT  NOT NULL,
  -- Random, made with the schema: tells this database from every other. A copy has the same.
  identity TEXT    NOT NULL
);

CREATE TABLE profile (
  user_id        TEXT    COLLATE "C" NOT NULL PRIMARY KEY,
  -- The status last published, and since when it holds.
  status         TEXT    NOT NULL DEFAULT 'OFFLINE' CHECK (status IN ('ONLINE', 'IDLE', 'DO_NOT_DISTURB', 'OFFLINE')),
  since          BIGINT,
  -- The nodes where the user had connections, or lost ones in grace, as a JSON array of names: each as often as sessions
  -- would be in grace if it stopped. A node that starts gives the users it finds there the restart grace period.
  connected_on   TEXT    NOT NULL DEFAULT '[]' CHECK (connected_on LIKE '[%]'),
  -- The custom status, when it was set, and by whom.
  custom_status  TEXT    NOT NULL DEFAULT 'ONLINE' CHECK (custom_status IN ('ONLINE', 'IDLE', 'DO_NOT_DISTURB')),
  custom_set_at  BIGINT,
  custom_set_by  TEXT    CHECK (custom_set_by IN ('user', 'operator')),
  -- The version of the write that set it.
  custom_version BIGINT  NOT NULL DEFAULT 0,
  -- Counts the writes of the custom status and of the reports: each takes the highest known version + 1.
  version        BIGINT  NOT NULL DEFAULT 0,
  -- These two never go back.
  last_seen      BIGINT,
  last_active    BIGINT,
  -- Of which revision status, since and connected_on are. A lower revision never replaces them.
  revision       BIGINT  NOT NULL DEFAULT 0,
  -- In a cluster: since when it has a version that the log may not have, by the database's clock; NULL if the log has it.
  unpublished    BIGINT
) WITH (fillfactor = 80); -- room for a new version of a row beside the old one: no index changes with it, but for the one below

CREATE INDEX profile_unpublished ON profile (user_id) WHERE unpublished IS NOT NULL;

-- Sessions held by outside gateways. They belong to no node and survive restarts.
CREATE TABLE report (
  user_id     TEXT    COLLATE "C" NOT NULL REFERENCES profile (user_id) ON DELETE CASCADE,
  source      TEXT    COLLATE "C" NOT NULL,
  status      TEXT    NOT NULL CHECK (status IN ('ONLINE', 'IDLE', 'DO_NOT_DISTURB')),
  since       BIGINT  NOT NULL,
  heard       BIGINT  NOT NULL,
  -- The version of the write that made or refreshed it.
  version     BIGINT  NOT NULL,
  last_active BIGINT,
  -- When it ends by itself; NULL: never.
  expires_at  BIGINT,
  -- The version of the write that first said what it says: it takes part if this is higher than custom_version. A refresh
  -- that says the same is nothing new.
  said        BIGINT  NOT NULL,
  PRIMARY KEY (user_id, source)
);

-- Users that were forgotten, for one to two hours in which the daemon runs: a write of this revision or a lower one that comes late is dropped, and
-- versions go on above this one, so that nothing that is known by its version is taken for what came after.
CREATE TABLE tombstone (
  -- SHA-256 of the user id, which itself must not stay here.
  user_hash    BYTEA   NOT NULL PRIMARY KEY,
  revision     BIGINT  NOT NULL,
  version      BIGINT  NOT NULL,
  -- By the wall clock, for people who look. No clock ends a tombstone: its revision tells which are old.
  forgotten_at BIGINT  NOT NULL
);

CREATE INDEX tombstone_revision ON tombstone (revision);

-- Of whom an operator revoked tokens. A row stays when its user is forgotten: a token may outlive that.
CREATE TABLE revocation (
  -- SHA-256 of the user id, which itself must not stay here.
  user_hash     BYTEA   NOT NULL PRIMARY KEY,
  -- Tokens that were issued (iat) before this are refused. Never goes back.
  issued_before BIGINT  NOT NULL,
  -- Higher than those of all rows before the last revocation of this user: who has read up to one finds by it what came since.
  number        BIGINT  NOT NULL
);

CREATE UNIQUE INDEX revocation_number ON revocation (number);

-- What each node leaves for its next start.
CREATE TABLE heartbeat (
  node    TEXT    COLLATE "C" NOT NULL PRIMARY KEY,
  -- When the node was last alive.
  wall    BIGINT  NOT NULL,
  -- The node gave no revision above this.
  ceiling BIGINT  NOT NULL,
  -- Whether the node ended with this heartbeat and had written everything.
  clean   BOOLEAN NOT NULL
);

-- The changes of a node's last run, if it ended with everything written: cursors of that run resume in the next one.
CREATE TABLE history (
  node         TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
  -- The random number of the run, which its cursors begin with.
  incarnation  BIGINT NOT NULL,
  -- The run knew every change since this revision.
  resumes_from BIGINT NOT NULL
);
