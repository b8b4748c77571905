//! Settings from the environment: `CRYPTOPRICE__SECTION__KEY`, and what others call the same.

use toml::{Table, Value};

use super::ConfigError;

/// What names of settings begin with. Other variables are none of our business.
const PREFIX: &str = "CRYPTOPRICE__";

/// Keys that the defaults do not hold and that have numbers.
const NUMBERS: &[&str] = &["max_markets", "requests_per_minute"];

/// Names that are usual elsewhere, and what they set. The prefixed name of the same setting wins over them.
const ALIASES: [(&str, &str); 2] =
    [("DATABASE_URL", "CRYPTOPRICE__STORE__URL"), ("REDIS_URL", "CRYPTOPRICE__CACHE__URL")];

/// One setting, as a table with just that key.
pub(super) struct Setting {
    /// The variable that it came from.
    pub(super) variable: String,
    /// The key and its value.
    pub(super) table: Table,
}

/// Reads the settings among the variables. A value takes the kind that its key has now: list, number, yes or no; text
/// where the key is new.
pub(super) fn settings(
    environment: impl IntoIterator<Item = (String, String)>,
    current: &Table,
) -> Result<Vec<Setting>, ConfigError> {
    let mut settings = Vec::new();
    for (variable, text) in environment {
        let alias = ALIASES.iter().find(|(alias, _)| *alias == variable);
        let name = alias.map_or(variable.as_str(), |(_, name)| name);
        let Some(path) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let keys: Vec<String> = path.split("__").map(str::to_lowercase).collect();
        let value = value(&keys, &text, current).map_err(|message| ConfigError::Key {
            key: keys.join("."),
            origin: Some(variable.clone()),
            message,
        })?;
        settings.push(Setting { table: nest(&keys, value), variable });
    }
    // What comes later wins.
    settings.sort_by_key(|setting| (setting.variable.starts_with(PREFIX), setting.variable.clone()));
    Ok(settings)
}

/// Finds where a program may keep its data: the folder that systemd gives it, or its own in the user's data folder.
pub(super) fn data_folder(environment: &[(String, String)]) -> Option<String> {
    let find = |name| {
        environment.iter().find(|(known, text)| known == name && !text.is_empty()).map(|(_, text)| text)
    };
    if let Some(folders) = find("STATE_DIRECTORY") {
        return folders.split(':').next().map(str::to_owned);
    }
    let folder = find("XDG_DATA_HOME").cloned().or_else(|| Some(format!("{}/.local/share", find("HOME")?)));
    Some(format!("{}/cryptoprice", folder?))
}

fn value(keys: &[String], text: &str, current: &Table) -> Result<Value, String> {
    let text = text.trim();
    match find(keys, current) {
        Some(Value::Integer(_)) => number(text),
        Some(Value::Boolean(_)) => yes_or_no(text),
        Some(Value::Array(_)) => Ok(list(text)),
        Some(Value::Table(_)) => Err("is a section: name a key in it".into()),
        None if keys.last().is_some_and(|key| key == "pairs") => Ok(list(text)),
        None if keys.last().is_some_and(|key| key == "enabled") => yes_or_no(text),
        None if keys.last().is_some_and(|key| NUMBERS.contains(&key.as_str())) => number(text),
        _ => Ok(Value::String(text.to_owned())),
    }
}

fn find<'a>(keys: &[String], current: &'a Table) -> Option<&'a Value> {
    let (first, rest) = keys.split_first()?;
    let value = current.get(first)?;
    if rest.is_empty() { Some(value) } else { find(rest, value.as_table()?) }
}

fn number(text: &str) -> Result<Value, String> {
    text.parse().map(Value::Integer).map_err(|_| format!("`{text}` is not a whole number"))
}

fn yes_or_no(text: &str) -> Result<Value, String> {
    text.parse().map(Value::Boolean).map_err(|_| format!("`{text}` is not true or false"))
}

fn list(text: &str) -> Value {
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    Value::Array(items.map(|item| Value::String(item.to_owned())).collect())
}

fn nest(keys: &[String], value: Value) -> Table {
    let mut table = Table::new();
    if let Some((first, rest)) = keys.split_first() {
        let value = if rest.is_empty() { value } else { Value::Table(nest(rest, value)) };
        table.insert(first.clone(), value);
    }
    table
}
