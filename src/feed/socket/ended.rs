//! Why a connection ended, or was not made.

use std::time::Duration;

use tokio_tungstenite::tungstenite;

use super::{connect::ConnectError, converse::SEND_WITHIN, voices::ANY_WITHIN};
use crate::feed::{outlet::Unheard, recording::Untold};

/// Why a connection ended, or was not made.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("stopped by us")]
    Stopped,
    #[error(transparent)]
    NotConnected(#[from] ConnectError),
    #[error("closed by the venue: {0}")]
    Closed(String),
    #[error("no event for {0:?}")]
    Silent(Duration),
    #[error("no market spoke within {ANY_WITHIN:?}")]
    Mute,
    #[error("a message was not taken within {SEND_WITHIN:?}")]
    NotTaken,
    #[error("cut: {0}")]
    Cut(Box<tungstenite::Error>),
    #[error("ended by us: {0}")]
    Unrecorded(Untold),
}

impl Ended {
    /// Tells whether the venue refuses us for good.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::NotConnected(error) if error.is_final())
    }
}

impl From<Untold> for Ended {
    fn from(untold: Untold) -> Self {
        match untold {
            Untold::NoRoom => Self::Unrecorded(untold),
            Untold::Ended => Self::Stopped,
        }
    }
}

impl From<tungstenite::Error> for Ended {
    fn from(error: tungstenite::Error) -> Self {
        Self::Cut(Box::new(error))
    }
}

impl From<Unheard> for Ended {
    fn from(Unheard: Unheard) -> Self {
        Self::Stopped
    }
}
