-- What the store is, in words: whose prices it holds.
CREATE TABLE meta (
    key text COLLATE "C" PRIMARY KEY,
    value text NOT NULL
);

-- Candles, with everything that was ever said of an interval: what is restated gets the next revision. An empty venue is
-- the composite of all. Each interval is a partition, which is divided by time: the leaves are made by the program when
-- they are needed, and dropped by retention.
CREATE TABLE candles (
    origin text COLLATE "C" NOT NULL CHECK (origin IN ('LIVE', 'REPLAY', 'SIMULATED')),
    interval text COLLATE "C" NOT NULL,
    pair text COLLATE "C" NOT NULL,
    venue text COLLATE "C" NOT NULL,
    open_time timestamptz NOT NULL,
    revision integer NOT NULL CHECK (revision >= 0),
    state text COLLATE "C" NOT NULL CHECK (state IN ('FINAL', 'RESTATED', 'GAP')),
    maker text COLLATE "C" NOT NULL CHECK (maker IN ('SERVICE', 'VENUE')),
    open numeric,
    high numeric,
    low numeric,
    close numeric,
    base_volume numeric NOT NULL,
    quote_volume numeric NOT NULL,
    trade_count bigint NOT NULL,
    source_count integer NOT NULL,
    coverage numeric NOT NULL,
    record_time timestamptz NOT NULL,
    PRIMARY KEY (origin, interval, pair, venue, open_time, revision)
) PARTITION BY LIST (interval);

CREATE TABLE candles_1s PARTITION OF candles FOR VALUES IN ('1s') PARTITION BY RANGE (open_time);
CREATE TABLE candles_1m PARTITION OF candles FOR VALUES IN ('1m') PARTITION BY RANGE (open_time);
CREATE TABLE candles_5m PARTITION OF candles FOR VALUES IN ('5m') PARTITION BY RANGE (open_time);
CREATE TABLE candles_15m PARTITION OF candles FOR VALUES IN ('15m') PARTITION BY RANGE (open_time);
CREATE TABLE candles_1h PARTITION OF candles FOR VALUES IN ('1h') PARTITION BY RANGE (open_time);
CREATE TABLE candles_4h PARTITION OF candles FOR VALUES IN ('4h') PARTITION BY RANGE (open_time);
CREATE TABLE candles_1d PARTITION OF candles FOR VALUES IN ('1d') PARTITION BY RANGE (open_time);
CREATE TABLE candles_1w PARTITION OF candles FOR VALUES IN ('1w') PARTITION BY RANGE (open_time);

-- Prices as they were published, divided by time.
CREATE TABLE prices (
    origin text COLLATE "C" NOT NULL CHECK (origin IN ('LIVE', 'REPLAY', 'SIMULATED')),
    pair text COLLATE "C" NOT NULL,
    aggregate_time timestamptz NOT NULL,
    epoch bigint NOT NULL,
    sequence bigint NOT NULL,
    publish_time timestamptz NOT NULL,
    status text COLLATE "C" NOT NULL,
    status_reason text COLLATE "C",
    price numeric,
    bid numeric,
    ask numeric,
    dispersion_bps numeric,
    observe_time timestamptz,
    receive_time timestamptz,
    source_count integer NOT NULL,
    route text COLLATE "C" NOT NULL,
    record_time timestamptz NOT NULL,
    PRIMARY KEY (origin, pair, aggregate_time, epoch, sequence)
) PARTITION BY RANGE (aggregate_time);
