//! Numbers and names between the domain and the database.

use super::StoreError;

/// Fits a number of ours into a column.
pub(super) fn whole<F, T>(column: &'static str, value: F) -> Result<T, StoreError>
where
    F: Copy + std::fmt::Display,
    T: TryFrom<F>,
{
    T::try_from(value)
        .map_err(|_| StoreError::Refused { what: format!("{value} as {column}: it is too large") })
}

/// Reads a number that cannot be negative.
pub(super) fn natural<F, T>(column: &'static str, value: F) -> Result<T, StoreError>
where
    F: Copy + std::fmt::Display,
    T: TryFrom<F>,
{
    T::try_from(value).map_err(|_| StoreError::Unreadable { column, value: value.to_string() })
}

/// Finds what a name in the database stands for.
pub(super) fn named<T: Copy>(known: &[(T, &str)], column: &'static str, text: &str) -> Result<T, StoreError> {
    known
        .iter()
        .find(|(_, name)| *name == text)
        .map(|(value, _)| *value)
        .ok_or_else(|| StoreError::Unreadable { column, value: text.chars().take(40).collect() })
}

/// Names a value in the database.
pub(super) fn name<T: PartialEq + Copy>(known: &[(T, &'static str)], value: T) -> &'static str {
    known.iter().find(|(known, _)| *known == value).map_or("", |(_, name)| name)
}
