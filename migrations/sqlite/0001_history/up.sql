-- What the store is, in words: whose prices it holds.
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Candles, with everything that was ever said of an interval: what is restated gets the next revision. An empty venue is
-- the composite of all. Times are microseconds since 1970, and decimals are text, which keeps every digit.
CREATE TABLE candles (
    origin TEXT NOT NULL CHECK (origin IN ('LIVE', 'REPLAY', 'SIMULATED')),
    interval TEXT NOT NULL,
    pair TEXT NOT NULL,
    venue TEXT NOT NULL,
    open_time INTEGER NOT NULL,
    revision INTEGER NOT NULL CHECK (revision >= 0),
    state TEXT NOT NULL CHECK (state IN ('FINAL', 'RESTATED', 'GAP')),
    maker TEXT NOT NULL CHECK (maker IN ('SERVICE', 'VENUE')),
    open TEXT,
    high TEXT,
    low TEXT,
    close TEXT,
    base_volume TEXT NOT NULL,
    quote_volume TEXT NOT NULL,
    trade_count INTEGER NOT NULL,
    source_count INTEGER NOT NULL,
    coverage TEXT NOT NULL,
    record_time INTEGER NOT NULL,
    PRIMARY KEY (origin, interval, pair, venue, open_time, revision)
) STRICT, WITHOUT ROWID;

-- Prices as they were published.
CREATE TABLE prices (
    origin TEXT NOT NULL CHECK (origin IN ('LIVE', 'REPLAY', 'SIMULATED')),
    pair TEXT NOT NULL,
    aggregate_time INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    publish_time INTEGER NOT NULL,
    status TEXT NOT NULL,
    status_reason TEXT,
    price TEXT,
    bid TEXT,
    ask TEXT,
    dispersion_bps TEXT,
    observe_time INTEGER,
    receive_time INTEGER,
    source_count INTEGER NOT NULL,
    route TEXT NOT NULL,
    record_time INTEGER NOT NULL,
    PRIMARY KEY (origin, pair, aggregate_time, epoch, sequence)
) STRICT, WITHOUT ROWID;
