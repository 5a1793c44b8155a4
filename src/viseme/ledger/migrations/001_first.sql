-- Columns are for finding, JSON is for rebuilding: what a row says stands in its JSON text, and once more in a column where a query needs it.

-- A task's standing, rewritten at every step.
CREATE TABLE tasks (
    "order" INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    key TEXT NOT NULL UNIQUE,
    held INTEGER NOT NULL,          -- 1 until its run is released
    run INTEGER NOT NULL,
    account TEXT NOT NULL,
    rank INTEGER NOT NULL,          -- the priority, negated: lower goes first
    state TEXT NOT NULL,
    parked TEXT,
    body TEXT NOT NULL
);

-- The queue of an account; every column of the walk stands in the index.
CREATE INDEX tasks_queued ON tasks (account, rank, "order", run) WHERE state = 'queued' AND parked IS NULL AND held = 0;

CREATE INDEX tasks_open ON tasks ("order", run, account) WHERE state NOT IN ('succeeded', 'failed', 'cancelled') AND held = 0;

-- What a task was asked for: beside `tasks`, because it stays while the standing changes.
CREATE TABLE jobs (
    "order" INTEGER PRIMARY KEY,
    body TEXT NOT NULL
);

CREATE TABLE events (
    "order" INTEGER PRIMARY KEY,
    task INTEGER NOT NULL,
    run INTEGER NOT NULL,
    body TEXT NOT NULL
);

CREATE INDEX events_task ON events (task);

CREATE INDEX events_run ON events (run);

-- The `queued` events of held tasks; they get their `order` when their run is released.
CREATE TABLE held (
    task INTEGER PRIMARY KEY,
    run INTEGER NOT NULL,
    body TEXT NOT NULL
);

CREATE TABLE intents (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    ended REAL,
    body TEXT NOT NULL
) WITHOUT ROWID;

CREATE INDEX intents_ended ON intents (account, ended);

-- Every vendor id that a task was ever given; the first task that had it keeps it.
CREATE TABLE adopted (
    account TEXT NOT NULL,
    vendor_id TEXT NOT NULL,
    task INTEGER NOT NULL,
    PRIMARY KEY (account, vendor_id)
) WITHOUT ROWID;

CREATE TABLE seats (
    id TEXT PRIMARY KEY,
    body TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE orders (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    verb TEXT NOT NULL,
    key TEXT
);

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value
) WITHOUT ROWID;

INSERT INTO meta VALUES ('run', 0), ('gates', NULL);
