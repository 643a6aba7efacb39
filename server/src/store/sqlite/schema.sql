-- Times are milliseconds since 1970, UTC. Values are integers of the scale in model/reading.rs.
CREATE TABLE device (
    id          INTEGER PRIMARY KEY,
    hardware_id TEXT NOT NULL UNIQUE,
    added_at    INTEGER NOT NULL,
    name        TEXT,
    grp         TEXT,
    tags        TEXT NOT NULL DEFAULT '',   -- separated by spaces
    removed     INTEGER NOT NULL DEFAULT 0
) STRICT;

-- The last live heartbeat of each device, as it came.
CREATE TABLE latest (
    device   INTEGER PRIMARY KEY,
    at       INTEGER NOT NULL,
    document TEXT NOT NULL
) STRICT;

-- The starts of each device's agent: which numbers have come.
CREATE TABLE boot (
    device   INTEGER NOT NULL,
    ordinal  INTEGER NOT NULL,
    boot_id  INTEGER NOT NULL,
    first_at INTEGER NOT NULL,
    last_at  INTEGER NOT NULL,
    base     INTEGER NOT NULL,
    max      INTEGER NOT NULL,
    bits     INTEGER NOT NULL,
    received INTEGER NOT NULL,
    PRIMARY KEY (device, ordinal)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX boot_by_id ON boot (device, boot_id);

CREATE TABLE beat (
    device  INTEGER NOT NULL,
    at      INTEGER NOT NULL,               -- place in history: see model/ledger.rs
    skew    INTEGER,                        -- the device's time less `at`
    boot    INTEGER,
    seq     INTEGER,
    flags   INTEGER NOT NULL,               -- 1 replayed, 2 streaming, 4 tracking, 8 recording
    cpu     INTEGER, mem INTEGER, temp INTEGER, power INTEGER, fan_rpm INTEGER, disk_percent INTEGER,
    signal_percent INTEGER, recording_file_size_mb INTEGER, ups_percent INTEGER,
    lat     INTEGER, lon INTEGER,           -- hundred-thousandths of a degree
    PRIMARY KEY (device, at)
) STRICT, WITHOUT ROWID;
-- Late heartbeats are rare; those that come again are found here.
CREATE INDEX beat_late ON beat (device, boot, seq) WHERE flags & 1;

CREATE TABLE minute (
    device INTEGER NOT NULL,
    at     INTEGER NOT NULL,
    beats  INTEGER NOT NULL,
    {summary},
    PRIMARY KEY (device, at)
) STRICT, WITHOUT ROWID;

CREATE TABLE hour (
    device INTEGER NOT NULL,
    at     INTEGER NOT NULL,
    beats  INTEGER NOT NULL,
    {summary},
    PRIMARY KEY (device, at)
) STRICT, WITHOUT ROWID;

CREATE TABLE event (
    id     INTEGER PRIMARY KEY,
    at     INTEGER NOT NULL,
    device INTEGER NOT NULL,
    kind   TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
CREATE INDEX event_by_device ON event (device, at);
CREATE INDEX event_by_time ON event (at);

CREATE TABLE alert (
    device      INTEGER NOT NULL,
    kind        TEXT NOT NULL,
    since       INTEGER NOT NULL,
    raised      INTEGER NOT NULL,
    unannounced INTEGER NOT NULL,
    detail      TEXT NOT NULL,
    PRIMARY KEY (device, kind)
) STRICT, WITHOUT ROWID;

-- Messages that have not arrived yet.
CREATE TABLE message (
    id         INTEGER PRIMARY KEY,
    channel    TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    next_at    INTEGER NOT NULL,
    attempts   INTEGER NOT NULL,
    doubtful   INTEGER NOT NULL,               -- an attempt may have delivered it
    subject    TEXT NOT NULL,
    body       TEXT NOT NULL
) STRICT;

CREATE TABLE token (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    hash       BLOB NOT NULL UNIQUE,
    purpose    TEXT NOT NULL,
    device     TEXT,
    grp        TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER
) STRICT;

CREATE TABLE session (
    hash       BLOB PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE setting (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO setting VALUES ('revision', '1');
