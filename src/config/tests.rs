use std::{io::Write, path::Path};

use super::*;

fn load(file: Option<&str>, environment: &[(&str, &str)]) -> Result<Config, String> {
    let mut on_disk = tempfile::NamedTempFile::new().unwrap();
    on_disk.write_all(file.unwrap_or_default().as_bytes()).unwrap();
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::load(file.map(|_| on_disk.path()), environment)
        .map_err(|error| error.to_string().replace(&on_disk.path().display().to_string(), "FILE"))
}

#[test]
fn the_environment_goes_over_the_file_and_the_file_over_the_defaults() {
    let file = "[aggregation]\nmin_sources = 3\nmax_age = \"10s\"\n[venues.kraken]\nenabled = false";
    let config = load(
        Some(file),
        &[
            ("CRYPTOPRICE__AGGREGATION__MIN_SOURCES", "4"),
            ("CRYPTOPRICE__CROSS__PAIRS", "eth/chf, SOL-CHF"),
            ("CRYPTOPRICE_TEST_DATA", "/somewhere"),
            ("PATH", "/bin"),
        ],
    )
    .unwrap();
    assert_eq!(config.aggregation.min_sources, 4);
    assert_eq!(config.aggregation.max_age, Duration::from_secs(10));
    assert_eq!(config.aggregation.weight_cap.0.to_string(), "0.4");
    assert!(!config.venues["kraken"].enabled && !config.venues["kraken"].pairs.is_empty());
    let crosses: Vec<_> = config.cross.pairs.iter().map(ToString::to_string).collect();
    assert_eq!(crosses, ["ETH-CHF", "SOL-CHF"]);
}

#[test]
fn what_is_wrong_is_named() {
    for (file, environment, expected) in [
        (Some("[server]\nlistne = 1"), None, "server.listne (FILE): unknown field `listne`"),
        (Some("[serverr]"), None, "serverr (FILE): unknown field `serverr`"),
        (Some("[server]\nlisten = \"nowhere\""), None, "server.listen (FILE): invalid socket address"),
        (Some("[aggregation]\nmax_age = \"soon\""), None, "aggregation.max_age (FILE): "),
        (
            Some("[aggregation]\nmax_spread_bps = \"1e2\""),
            None,
            "aggregation.max_spread_bps (FILE): `1e2` is not a decimal",
        ),
        (Some("[venues.nowhere]\npairs = []"), None, "venues.nowhere: no venue has this name"),
        (
            Some("[venues.kraken]\npairs = [\"BTC\"]"),
            None,
            "venues.kraken.pairs[0] (FILE): `BTC` is not a pair",
        ),
        (Some("= nonsense"), None, "the configuration file FILE is not valid TOML"),
        (
            None,
            Some(("CRYPTOPRICE__SERVER__LISTNE", "x")),
            "server.listne (CRYPTOPRICE__SERVER__LISTNE): unknown field",
        ),
        (
            None,
            Some(("CRYPTOPRICE__AGGREGATION__MIN_SOURCES", "two")),
            "aggregation.min_sources (CRYPTOPRICE__AGGREGATION__MIN_SOURCES): `two` is not a whole number",
        ),
        (
            None,
            Some(("CRYPTOPRICE__AGGREGATION", "x")),
            "aggregation (CRYPTOPRICE__AGGREGATION): is a section",
        ),
        (
            None,
            Some(("CRYPTOPRICE__AGGREGATION__WEIGHT_CAP", "1.5")),
            "aggregation.weight_cap: must be above 0",
        ),
        (
            None,
            Some(("CRYPTOPRICE__LOG__FORMAT", "xml")),
            "log.format (CRYPTOPRICE__LOG__FORMAT): unknown variant `xml`",
        ),
        (None, Some(("CRYPTOPRICE__LOG__FILTER", "a=b=c")), "log.filter: "),
        (
            None,
            Some(("CRYPTOPRICE__AGGREGATION__REFRESH", "9000000years")),
            "aggregation.refresh: must be at most 24h",
        ),
        (None, Some(("CRYPTOPRICE__FEED__MAX_BACKOFF", "0s")), "feed.max_backoff: must be longer than zero"),
        (
            None,
            Some(("CRYPTOPRICE__CACHE__URL", "http://user:secret@host")),
            "cache.url: the address of Redis is not understood: ",
        ),
        (None, Some(("REDIS_URL", "secret")), "cache.url: the address of Redis is not understood: "),
        (None, Some(("CRYPTOPRICE__CACHE__PREFIX", "a{b}")), "cache.prefix: must be 1 to 64 letters"),
        (None, Some(("CRYPTOPRICE__CACHE__LEASE", "800ms")), "cache.lease: must be three times"),
        (None, Some(("CRYPTOPRICE__ROLE", "boss")), "role (CRYPTOPRICE__ROLE): unknown variant `boss`"),
        (None, Some(("CRYPTOPRICE__ROLE", "serve")), "role: needs Redis: set cache.url, or REDIS_URL"),
        (None, Some(("CRYPTOPRICE__CLUSTER__ORIGIN", "real")), "cluster.origin: must be live or simulated"),
        (
            None,
            Some(("CRYPTOPRICE__CLUSTER__ORIGIN", "replay")),
            "cluster.origin: recordings are not mirrored",
        ),
        (None, Some(("CRYPTOPRICE__CLUSTER__NAME", "a b")), "cluster.name: must be at most 64 letters"),
        (None, Some(("CRYPTOPRICE__CACHE__POOL_SIZE", "0")), "cache.pool_size: must be above 0"),
        (None, Some(("CRYPTOPRICE__JUMP__THRESHOLD", "-0.1")), "jump.threshold: must not be negative"),
        (
            None,
            Some(("CRYPTOPRICE__HISTORY__KEEP__1M", "soon")),
            "history.keep.1m (CRYPTOPRICE__HISTORY__KEEP__1M): `soon` is neither a span nor `forever`",
        ),
        (
            Some("[history.keep]\n2m = \"1d\""),
            None,
            "history.keep.2m: is neither an interval of candles nor `prices`",
        ),
        (None, Some(("CRYPTOPRICE__HISTORY__QUEUE", "10")), "history.queue: must not be below history.batch"),
        (None, Some(("CRYPTOPRICE__HISTORY__SPOOL_MAX_BYTES", "1")), "history.spool_max_bytes: must be"),
        (None, Some(("CRYPTOPRICE__PEG__ANCHORS", "0")), "peg.anchors: must be above 0"),
        (None, Some(("CRYPTOPRICE__PEG__COINS__DAI", "DAI")), "peg.coins.DAI: cannot be pegged to itself"),
        (
            None,
            Some(("CRYPTOPRICE__SERVER__CORS_ORIGINS", "https://a.example, https://b.example/")),
            "server.cors_origins: `https://b.example/` is not",
        ),
    ] {
        let error = load(file, environment.as_slice()).unwrap_err();
        assert!(error.starts_with(expected), "{error}\nexpected: {expected}");
        assert!(!error.contains("secret"), "{error}");
    }
}

#[test]
fn a_missing_file_is_an_error() {
    let error = Config::load(Some(Path::new("/nowhere/at/all.toml")), []).unwrap_err();
    assert_eq!(error.to_string(), "cannot read the configuration file /nowhere/at/all.toml");
}

#[test]
fn what_is_shown_hides_credentials_and_reads_back() {
    let url = "wss://user:secret@proxy.example/kraken?token=secret";
    let config = load(None, &[("CRYPTOPRICE__VENUES__KRAKEN__URL", url)]).unwrap();
    let shown = format!("{}{config:?}", config.to_toml());
    assert!(shown.contains("wss://***@proxy.example/kraken?***"), "{shown}");
    assert!(!shown.contains("secret"), "{shown}");
    assert_eq!(config.venues["kraken"].url.as_ref().unwrap().expose(), url);
    load(Some(&config.to_toml()), &[]).unwrap();
}

#[test]
fn the_database_is_known_by_its_usual_name_too() {
    let (usual, own) =
        (("DATABASE_URL", "postgres://h/usual"), ("CRYPTOPRICE__STORE__URL", "postgres://h/own"));
    let file = "[store]\nurl = \"postgres://h/file\"";
    for (environment, expected) in [
        (&[][..], "postgres://h/file"),
        (&[usual], "postgres://h/usual"),
        (&[usual, own], "postgres://h/own"),
    ] {
        let config = load(Some(file), environment).unwrap();
        assert_eq!(config.store.url.expose(), expected);
    }
    let error = load(None, &[("DATABASE_URL", "mysql://me:hush@h/d")]).unwrap_err();
    assert!(error.contains("store.url") && !error.contains("hush"), "{error}");
    let config = load(None, &[("DATABASE_URL", "postgres://me:hush@h/d")]).unwrap();
    assert!(!format!("{}{config:?}", config.to_toml()).contains("hush"));
}

#[test]
fn the_embedded_database_lies_where_programs_keep_their_data() {
    for (environment, expected) in [
        (&[("HOME", "/home/me")][..], "/home/me/.local/share/cryptoprice"),
        (&[("HOME", "/home/me"), ("XDG_DATA_HOME", "/data")], "/data/cryptoprice"),
        (&[("STATE_DIRECTORY", "/var/lib/cryptoprice"), ("XDG_DATA_HOME", "/data")], "/var/lib/cryptoprice"),
        (&[("CRYPTOPRICE__STORE__FOLDER", "/mine"), ("HOME", "/home/me")], "/mine"),
        (&[], ""),
    ] {
        assert_eq!(load(None, environment).unwrap().store.folder, expected);
    }
}

#[test]
fn a_name_that_other_programs_use_yields_to_our_own() {
    let usual = ("REDIS_URL", "redis://usual");
    let own = ("CRYPTOPRICE__CACHE__URL", "redis://own");
    let file = "[cache]\nurl = \"redis://file\"";
    for (environment, expected) in [
        (vec![], "redis://file"),
        (vec![usual], "redis://usual"),
        (vec![own], "redis://own"),
        (vec![own, usual], "redis://own"),
        (vec![usual, own], "redis://own"),
    ] {
        assert_eq!(load(Some(file), &environment).unwrap().cache.url.expose(), expected);
    }
}
