-- The whole schema of presence.db. The daemon carries this text and makes every new file from it; older files are
-- brought up to exactly this. Times are Unix milliseconds; NULL is never.

PRAGMA application_id = 1886545267; -- "pres": a file of another program is refused
PRAGMA user_version = 1;

CREATE TABLE profile (
  user_id       TEXT    NOT NULL PRIMARY KEY,
  -- What others were last told, and since when it holds.
  status        TEXT    NOT NULL DEFAULT 'OFFLINE' CHECK (status IN ('ONLINE', 'IDLE', 'DO_NOT_DISTURB', 'OFFLINE')),
  since         INTEGER,
  -- 1 with a connection or a grace. Who has it at a start gets the restart grace.
  connected     INTEGER NOT NULL DEFAULT 0 CHECK (connected IN (0, 1)),
  -- The choice. custom_set_at is its version: an older choice never replaces a newer one.
  custom_status TEXT    NOT NULL DEFAULT 'ONLINE' CHECK (custom_status IN ('ONLINE', 'IDLE', 'DO_NOT_DISTURB')),
  custom_set_at INTEGER,
  custom_set_by TEXT    CHECK (custom_set_by IN ('user', 'operator')),
  -- These two never go back.
  last_seen     INTEGER,
  last_active   INTEGER,
  -- The version of status, since and connected.
  revision      INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- Sessions that outside gateways speak for. They belong to no process and outlive restarts.
CREATE TABLE report (
  user_id     TEXT    NOT NULL REFERENCES profile (user_id) ON DELETE CASCADE,
  source      TEXT    NOT NULL,
  status      TEXT    NOT NULL CHECK (status IN ('ONLINE', 'IDLE', 'DO_NOT_DISTURB')),
  since       INTEGER NOT NULL,
  heard       INTEGER NOT NULL,
  -- Its place in the order of reports and choices: it counts if this is later than custom_set_at.
  ordered_at  INTEGER NOT NULL,
  last_active INTEGER,
  -- When it ends by itself; NULL: never.
  expires_at  INTEGER,
  PRIMARY KEY (user_id, source)
) STRICT, WITHOUT ROWID;

-- One row: what the daemon leaves for its next start.
CREATE TABLE mark (
  id      INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
  -- When the daemon was last alive.
  wall    INTEGER NOT NULL,
  -- No revision above this was ever told.
  ceiling INTEGER NOT NULL,
  -- 1 if it was the last word of a daemon that ended by itself.
  clean   INTEGER NOT NULL CHECK (clean IN (0, 1))
) STRICT;
