//! From a frame's text to what a feed hands on, against the same dug out of a tree of JSON values.

use std::hint::black_box;

use chrono::{DateTime, TimeDelta, Utc};
use cryptoprice::{
    domain::pair::Pair,
    feed::{delivery::DeliveryKind, translate::Translator, venue::Session},
};
use cryptoprice_peers::counting::allocations;

use crate::{
    ratio::{Ratio, compare},
    report::{Bound, Row},
    venues::{
        language::{Language, Reader},
        market::Markets,
    },
};

/// Frames of a venue.
const FRAMES: usize = 2_000;

/// How often a venue says something.
const EVERY: TimeDelta = TimeDelta::microseconds(750);

/// What a venue says, and what was understood of it.
struct Heard {
    deliveries: Vec<DeliveryKind>,
    replies: Vec<String>,
}

/// Frames of one venue, in the order in which they come.
pub(crate) struct Frames {
    language: &'static dyn Language,
    start: DateTime<Utc>,
    greeting: Vec<String>,
    texts: Vec<String>,
    pairs: Vec<Pair>,
}

/// Checks that both ways understand the same of a venue's frames, and gets the frames.
pub(crate) fn check(language: &'static dyn Language) -> anyhow::Result<Frames> {
    let frames = Frames::of(language);
    let name = language.protocol().venue();
    let mut heard = [Heard::new(), Heard::new()];
    let [ours, theirs] = &mut heard;
    frames.translate(|kind| ours.deliveries.push(kind), |reply| ours.replies.push(reply))?;
    frames.dig(|kinds| theirs.deliveries.append(kinds), |reply| theirs.replies.push(reply))?;
    for (ours, theirs) in ours.deliveries.iter().zip(&theirs.deliveries) {
        anyhow::ensure!(ours == theirs, "{name}: {ours:?} is not {theirs:?}");
    }
    let counts = |heard: &Heard| (heard.deliveries.len(), heard.replies.len());
    anyhow::ensure!(counts(ours) == counts(theirs), "{name}: {:?}, {:?}", counts(ours), counts(theirs));
    Ok(frames)
}

/// Measures one venue.
pub(crate) fn venue(language: &'static dyn Language, rounds: usize) -> anyhow::Result<(Row, f64)> {
    let frames = check(language)?;
    let name = language.protocol().venue();
    let all = (FRAMES + frames.greeting.len()) as f64;
    let ours = || frames.translate(|kind| drop(black_box(kind)), |reply| drop(black_box(reply)));
    let theirs = || frames.dig(|kinds| black_box(kinds).clear(), |reply| drop(black_box(reply)));
    let allocated = |work: &dyn Fn() -> anyhow::Result<()>| {
        let before = allocations();
        work().map(|()| (allocations() - before) as f64 / all)
    };
    let allocated = [allocated(&ours)?, allocated(&theirs)?];
    let understood = "frames that have been understood before";
    let (ratio, our_ns, their_ns) =
        compare(rounds, || ours().expect(understood), || theirs().expect(understood));
    let bytes: usize = frames.texts.iter().map(String::len).sum();
    let figures = |ns: f64, allocations: f64| {
        vec![("frames/s", all * 1e9 / ns), ("ns", ns / all), ("allocations/frame", allocations)]
    };
    let [our_allocations, their_allocations] = allocated;
    let row = Row::new(format!("parse_{name}"), format!("{name}: frames of {} B", bytes / FRAMES))
        .ratio(ratio, Bound::AtLeast(1.5))
        .figures(figures(our_ns, our_allocations), figures(their_ns, their_allocations));
    Ok((row, ratio.median))
}

/// Takes the venues together: the geometric mean of their ratios.
pub(crate) fn together(ratios: &[f64]) -> Row {
    let mean = (ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / ratios.len() as f64).exp();
    Row::new("parse", "the geometric mean of these").ratio(Ratio::exactly(mean), Bound::AtLeast(3.0))
}

impl Heard {
    fn new() -> Self {
        Self { deliveries: Vec::new(), replies: Vec::new() }
    }
}

impl Frames {
    fn of(language: &'static dyn Language) -> Self {
        let start = DateTime::from_timestamp_nanos(1_767_323_045_123_456_000);
        let mut markets = Markets::open(language);
        let greeting = markets.greet(start);
        let mut time = start;
        let texts = (0..FRAMES)
            .map(|_| {
                time += EVERY;
                let place = markets.choose();
                markets.next_of(place, time).0
            })
            .collect();
        Self { language, start, greeting, texts, pairs: markets.pairs().collect() }
    }

    fn each(&self) -> impl Iterator<Item = &str> {
        self.greeting.iter().chain(&self.texts).map(String::as_str)
    }

    /// Understands all frames of a new connection, as the service does.
    fn translate(
        &self,
        mut hear: impl FnMut(DeliveryKind),
        mut answer: impl FnMut(String),
    ) -> anyhow::Result<()> {
        let protocol = self.language.protocol();
        let mut session = Session::default();
        let mut translator = Translator::new(protocol)
            .asking_for(self.pairs.iter().map(|pair| (protocol.symbol(*pair), *pair)));
        for text in self.each() {
            let parsed = protocol.parse(&mut session, black_box(text))?;
            for event in &parsed.events {
                hear(translator.translate(event, self.start)?);
            }
            parsed.reply.into_iter().for_each(&mut answer);
        }
        Ok(())
    }

    /// Understands the same the ordinary way.
    fn dig(
        &self,
        mut hear: impl FnMut(&mut Vec<DeliveryKind>),
        mut answer: impl FnMut(String),
    ) -> anyhow::Result<()> {
        let mut reader = Reader::new(self.language.protocol(), self.pairs.iter().copied());
        let mut heard = Vec::new();
        for text in self.each() {
            let read = self.language.read(&mut reader, black_box(text), &mut heard);
            anyhow::ensure!(read.is_some(), "not understood: {text}");
            hear(&mut heard);
            reader.reply.take().into_iter().for_each(&mut answer);
        }
        Ok(())
    }
}
