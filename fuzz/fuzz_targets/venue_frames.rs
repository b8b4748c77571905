//! Frames at a venue's parser: the first byte picks the venue, the rest are its frames, a line each.
#![no_main]

use chrono::DateTime;
use cryptoprice::feed::{
    translate::Translator,
    venue::{Frame, Session},
    venues,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((pick, frames)) = input.split_first() else { return };
    let Some(protocol) = venues::ALL.get(usize::from(*pick) % venues::ALL.len()) else { return };
    let mut session = Session::default();
    let mut translator = Translator::new(*protocol);
    for frame in frames.split(|byte| *byte == b'\n') {
        let shapes = [Some(Frame::Binary(frame)), std::str::from_utf8(frame).ok().map(Frame::Text)];
        for shape in shapes.into_iter().flatten() {
            let Ok(text) = protocol.decode(shape) else { continue };
            let Ok(parsed) = protocol.parse(&mut session, &text) else { continue };
            for event in &parsed.events {
                let _ = translator.translate(event, DateTime::UNIX_EPOCH);
            }
        }
    }
});
