//! Imports point down.

use std::{fs, path::Path};

/// The floors, from the ground up: each may import itself and what stands before it, but not its neighbours on a line.
const FLOORS: &[&[&str]] = &[
    &["domain", "clock"],
    &["feed", "sim", "store", "cache"],
    &["pipeline"],
    &["service"],
    &["api", "client"],
    &["app"],
    &["cli"],
];

/// What a floor may import beside the floors below it.
const BESIDE: &[(&str, &str)] = &[
    // Read by what puts the house together and by what starts it, and by nothing below.
    ("app", "config"),
    ("cli", "config"),
    ("cli", "telemetry"),
    ("telemetry", "config"),
    // What the configuration is checked against.
    ("config", "domain"),
    ("config", "feed"),
    ("config", "store"),
    ("config", "cache"),
    // The plain messages that an encoded price is made of.
    ("api", "client"),
];

#[test]
fn imports_point_down() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    let mut seen = 0;
    visit(&source, &mut |path, text| {
        let relative = path.strip_prefix(&source).unwrap();
        let floor =
            relative.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs");
        for import in imports(text) {
            seen += 1;
            if import != floor && !allowed(floor, &import) {
                wrong.push(format!("{} imports {import}", relative.display()));
            }
        }
    });
    assert!(seen > 100, "the imports are found");
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn the_domain_does_no_input_or_output() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/domain");
    visit(&source, &mut |path, text| {
        for name in [
            "tokio",
            "tonic",
            "prost",
            "redis",
            "diesel",
            "axum",
            "reqwest",
            "std::fs",
            "std::net",
            "std::time",
        ] {
            let used = text.lines().any(|line| line.trim_start().starts_with(&format!("use {name}")));
            assert!(!used, "{} uses {name}", path.display());
        }
    });
}

fn allowed(floor: &str, import: &str) -> bool {
    if BESIDE.contains(&(floor, import)) {
        return true;
    }
    let level = |name: &str| FLOORS.iter().position(|line| line.contains(&name));
    match (floor, level(floor), level(import)) {
        // What the simulated venues say must not come from those who read it.
        ("sim", _, _) => import == "domain",
        // The program and the crate's root name everything.
        ("lib" | "main", _, _) => true,
        // The command line's client commands see what any caller sees; starting a service needs the house.
        (_, Some(floor), Some(import)) => import < floor,
        _ => false,
    }
}

/// Lists the floors that `use crate::…` names, in the spellings that rustfmt leaves.
fn imports(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut list = None;
    for line in text.lines() {
        let depth = line.len() - line.trim_start().len();
        match (list, line.trim_start().strip_prefix("use crate::")) {
            (None, Some(rest)) => match rest.strip_prefix('{') {
                Some(all) if all.contains('}') => found.extend(all.split(',').map(|part| first(part.trim()))),
                Some(_) => list = Some(depth),
                None => found.push(first(rest)),
            },
            (Some(outer), _) if depth == outer => list = None,
            (Some(outer), _) if depth == outer + 4 => found.push(first(line.trim())),
            _ => {}
        }
    }
    found.retain(|name| !name.is_empty());
    found
}

fn first(path: &str) -> String {
    path.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
}

fn visit(folder: &Path, look: &mut dyn FnMut(&Path, &str)) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            visit(&path, look);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            look(&path, &fs::read_to_string(&path).unwrap());
        }
    }
}
