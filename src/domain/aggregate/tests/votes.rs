//! Who may vote, and who is too far away.

use super::*;

#[test]
fn an_owner_has_one_vote() {
    let sized = |venue, market, volume: Option<&str>| Quote {
        quote_volume_24h: volume.map(decimal),
        ..quote(venue, market, "199", "201")
    };
    let elected = |quotes: &[Quote]| {
        let made = aggregated(quotes, &pegs(&[(USDT, "1", 0), (USDC, "1", 0)]));
        assert_eq!(made.source_count, 1);
        let used: Vec<_> = made.contributions.iter().filter(|c| c.verdict == Verdict::Used).collect();
        assert!(made.contributions.iter().all(|c| {
            c.verdict == Verdict::Used || (c.verdict == Verdict::OwnerVotesElsewhere && c.weight.is_zero())
        }));
        assert_eq!(used.len(), 1);
        assert_eq!(used[0].weight, Decimal::ONE);
        format!("{} {}", used[0].quote.venue, used[0].quote.market)
    };
    // A direct market before a larger one that is converted.
    let direct = sized("binanceus", "BTC-USD", Some("5"));
    let large = sized("binance", "BTC-USDT", Some("900"));
    assert_eq!(elected(&[large.clone(), direct]), "binanceus BTC-USD");
    // The larger of two that are converted; a known volume before an unknown one.
    let small = sized("binance", "BTC-USDC", Some("899"));
    let unknown = sized("binanceus", "BTC-USDT", None);
    assert_eq!(elected(&[small, unknown.clone(), large]), "binance BTC-USDT");
    // The first by venue, then by market.
    let same = sized("binance", "BTC-USDC", None);
    assert_eq!(elected(&[unknown, same]), "binance BTC-USDC");
}

#[test]
fn an_owner_with_three_markets_is_no_median() {
    // Were outliers looked for first, 200, 200 and 200 of one owner would throw out 190 and 190.2 of two others.
    let quotes = [
        quote("binance", "BTC-USD", "199.9", "200.1"),
        quote("binanceus", "BTC-USD", "199.9", "200.1"),
        quote("binance", "BTC-USDT", "199.9", "200.1"),
        quote("kraken", "BTC-USD", "189.9", "190.1"),
        quote("coinbase", "BTC-USD", "190.1", "190.3"),
    ];
    let made = aggregated(&quotes, &pegs(&[(USDT, "1", 0)]));
    assert_eq!(
        verdicts(&made),
        [
            ("binance", Verdict::Outlier),
            ("binance", Verdict::OwnerVotesElsewhere),
            ("binanceus", Verdict::OwnerVotesElsewhere),
            ("coinbase", Verdict::Used),
            ("kraken", Verdict::Used),
        ]
    );
    assert_eq!(price(&made).unwrap(), "190.1");
}

#[test]
fn outliers_need_three_readings_and_a_distance() {
    let check = |mids: &[i64], rejected: &[i64]| {
        const VENUES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
        let quotes: Vec<_> = VENUES.iter().zip(mids).map(|(venue, mid)| around(venue, *mid)).collect();
        let made = aggregated(&quotes, &pegs(&[]));
        let outliers = made.contributions.iter().filter(|c| c.verdict == Verdict::Outlier);
        let found: Vec<_> =
            outliers.map(|c| text(c.reading.as_ref().unwrap().price).parse::<i64>().unwrap()).collect();
        assert_eq!(found, rejected, "{mids:?}");
    };
    // Of two, nobody can tell which is wrong.
    check(&[10_000, 20_000], &[]);
    check(&[10_000, 20_000, 10_010], &[20_000]);
    // Values that agree too well do not reject a good one: the MAD is 0 and the floor 25 bps.
    check(&[10_000, 10_000, 10_000, 10_000, 10_025], &[]);
    check(&[10_000, 10_000, 10_000, 10_000, 10_026], &[10_026]);
    check(&[10_000, 10_000, 10_000, 9_975], &[]);
    check(&[10_000, 10_000, 10_000, 9_974], &[9_974]);
    // Beyond the floor the MAD decides: 100 here, so 444.78 are allowed.
    check(&[9_900, 10_000, 10_100, 10_444], &[]);
    check(&[9_900, 9_950, 10_000, 10_100, 10_444], &[]);
    check(&[9_900, 9_900, 10_000, 10_100, 10_445], &[10_445]);
    // An even count: the median is 10,020, distances 20, 20, 40 and 980, the MAD 30, so 133.434 are allowed.
    check(&[9_980, 10_000, 10_040, 11_000], &[11_000]);
}
