-- What every attempt costs. Amounts are whole billionths of their unit, so that sums are exact; NULL where unknown.
CREATE TABLE charges (
    id TEXT PRIMARY KEY,
    task TEXT NOT NULL,
    account TEXT NOT NULL,
    pool TEXT NOT NULL,
    day TEXT NOT NULL,
    state TEXT NOT NULL,
    unit TEXT,
    amount INTEGER,
    usd INTEGER
) WITHOUT ROWID;

-- Media that a vendor has.
CREATE TABLE uploads (
    account TEXT NOT NULL,
    digest TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (account, digest)
) WITHOUT ROWID;
