//! Both directions of the gateway's conversion, for a message of the contract that the first byte picks.
#![no_main]

use std::sync::LazyLock;

use cryptoprice::api::{gateway::json::Tables, pb::DESCRIPTORS};
use libfuzzer_sys::fuzz_target;
use prost_reflect::DescriptorPool;

static CONTRACT: LazyLock<(Tables, Vec<String>)> = LazyLock::new(|| {
    let pool = DescriptorPool::decode(DESCRIPTORS).expect("the contract's own descriptors");
    let names = pool.all_messages().map(|message| message.full_name().to_owned()).collect();
    (Tables::new(&pool), names)
});

fuzz_target!(|input: &[u8]| {
    let Some((pick, rest)) = input.split_first() else { return };
    let (tables, names) = &*CONTRACT;
    let Some(message) = names.get(usize::from(*pick) % names.len()).and_then(|name| tables.message(name)) else {
        return;
    };
    let mut text = Vec::new();
    let _ = tables.write_json(message, rest, &mut text);
    if let Ok(wire) = tables.read_json(message, rest) {
        text.clear();
        tables.write_json(message, &wire, &mut text).expect("what was read can be written");
        let again = tables.read_json(message, &text).expect("what was written can be read");
        let mut repeated = Vec::new();
        tables.write_json(message, &again, &mut repeated).expect("what was read can be written");
        assert_eq!(repeated, text);
    }
});
