//! What the tests of all venues expect: symbols that read back, and from hostile frames an error and never a panic.

pub(super) mod rest;

use proptest::{prelude::*, sample::Index, test_runner::TestRunner};
use rust_decimal::Decimal;

use crate::{
    domain::{decimal, pair::Pair},
    feed::{
        event::Event,
        venue::{Frame, ParseError, Protocol, Session},
    },
};

/// Reads good frames, then the same frames cut short and damaged, then anything.
pub(super) fn survives(protocol: &dyn Protocol, frames: &[&str]) {
    survives_after(protocol, &[], frames);
}

/// Does the same on connections that have heard earlier frames.
pub(super) fn survives_after(protocol: &dyn Protocol, earlier: &[&str], frames: &[&str]) {
    for frame in frames {
        let read = protocol.parse(&mut session(protocol, earlier), frame).map(|_| ());
        assert_eq!(read, Ok(()), "{frame}");
        for (end, _) in frame.char_indices() {
            let part = frame.get(..end).unwrap();
            let read = protocol.parse(&mut session(protocol, earlier), part).map(|_| ());
            assert!(read.is_err(), "{part}");
        }
    }
    let frames: Vec<String> = frames.iter().map(|&frame| frame.to_owned()).collect();
    let damaged = (
        prop::sample::select(frames),
        any::<Index>(),
        any::<Index>(),
        "[ -~]{0,4}|\\PC{0,4}|null|-1|0|\"\"|1e999|[0-9]{1,40}",
    );
    TestRunner::default()
        .run(&damaged, |(frame, from, to, with)| {
            let mut chars: Vec<char> = frame.chars().collect();
            let (from, to) = (from.index(chars.len()), to.index(chars.len()));
            chars.splice(from.min(to)..from.max(to).min(from.min(to) + 12), with.chars());
            let text: String = chars.into_iter().collect();
            read(protocol, &mut session(protocol, earlier), &text);
            Ok(())
        })
        .unwrap();
    TestRunner::default()
        .run(&any::<String>(), |text| {
            read(protocol, &mut session(protocol, earlier), &text);
            let _ = protocol.market(&text);
            Ok(())
        })
        .unwrap();
    TestRunner::default()
        .run(&any::<Vec<u8>>(), |bytes| {
            if let Ok(text) = protocol.decode(Frame::Binary(&bytes)) {
                read(protocol, &mut session(protocol, earlier), &text);
            }
            Ok(())
        })
        .unwrap();
    assert!(protocol.decode(Frame::Binary(&[0xff, 0xfe, 0xfd])).is_err());
}

/// Spells pairs as symbols and reads symbols back, and refuses what names no market.
pub(super) fn spells(protocol: &dyn Protocol, markets: &[(&str, &str)], wrong: &[&str]) {
    for (symbol, expected) in markets {
        let market = protocol.market(symbol).unwrap();
        assert_eq!(format!("{} {:?}", market.pair, market.kind), *expected, "{symbol}");
        if expected.ends_with("Spot") {
            let canonical =
                Pair::new(protocol.canonical(market.pair.base), protocol.canonical(market.pair.quote));
            assert_eq!(protocol.symbol(canonical), *symbol);
        }
    }
    for symbol in wrong {
        let error = protocol.market(symbol).unwrap_err();
        assert!(matches!(error, ParseError::UnknownSymbol(_)), "{symbol}: {error}");
    }
}

/// Writes a ticker on one line: symbol, bid/ask, last price, base and quote volume, milliseconds.
pub(super) fn line(event: &Event<'_>) -> String {
    let Event::Ticker(ticker) = event else { panic!("not a ticker: {event:?}") };
    let text = |value: Option<Decimal>| value.map_or("-".to_owned(), decimal::text);
    let book = ticker.book.map_or("-".to_owned(), |b| format!("{}/{}", text(b.bid), text(b.ask)));
    let time = ticker.time.map_or(0, |time| time.timestamp_millis());
    format!(
        "{} {book} last {} base {} quote {} at {time}",
        ticker.symbol,
        text(ticker.last),
        text(ticker.base_volume_24h),
        text(ticker.quote_volume_24h),
    )
}

fn session(protocol: &dyn Protocol, earlier: &[&str]) -> Session {
    let mut session = Session::default();
    for frame in earlier {
        protocol.parse(&mut session, frame).unwrap();
    }
    session
}

fn read(protocol: &dyn Protocol, session: &mut Session, text: &str) {
    if let Ok(parsed) = protocol.parse(session, text) {
        let _ = format!("{parsed:?}");
    }
}
