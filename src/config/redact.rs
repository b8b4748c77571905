//! Addresses that may hold credentials, which are never shown.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An address. What shows it, shows `***` for its user and password and for its query, which may hold a token.
#[derive(Clone)]
pub struct Address(SecretString);

impl Address {
    /// Gets the whole address.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Tells whether there is none.
    pub fn is_empty(&self) -> bool {
        self.expose().is_empty()
    }
}

impl From<String> for Address {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.expose();
        let (address, query) = whole.split_once('?').map_or((whole, ""), |(address, _)| (address, "?***"));
        let (scheme, rest) = address.split_once("://").map_or(("", address), |(scheme, rest)| (scheme, rest));
        let slashes = if scheme.is_empty() { "" } else { "://" };
        match rest.rsplit_once('@') {
            Some((_, host)) => write!(f, "{scheme}{slashes}***@{host}{query}"),
            None => write!(f, "{address}{query}"),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}
