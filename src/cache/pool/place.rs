//! An address, taken apart.

use std::{fmt, path::PathBuf};

use redis::ConnectionAddr;

use super::{CacheError, manager::understand};

/// Where Redis is, and who asks.
#[derive(Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is what its name says")]
pub struct Place {
    pub host: String,
    pub port: u16,
    pub tls: bool,
    /// The path of a socket, which is used instead of host and port.
    pub socket: Option<PathBuf>,
    pub database: i64,
    pub user: Option<String>,
    pub password: Option<String>,
}

/// Takes an address apart.
pub fn place(url: &str) -> Result<Place, CacheError> {
    let info = understand(url)?;
    let (host, port, tls, socket) = match info.addr() {
        ConnectionAddr::Tcp(host, port) => (host.clone(), *port, false, None),
        ConnectionAddr::TcpTls { host, port, .. } => (host.clone(), *port, true, None),
        ConnectionAddr::Unix(path) => (String::new(), 0, false, Some(path.clone())),
        _ => return Err(CacheError::Address("unknown kind of address".to_owned())),
    };
    let settings = info.redis_settings();
    let (user, password) = (settings.username(), settings.password());
    Ok(Place {
        host,
        port,
        tls,
        socket,
        database: settings.db(),
        user: user.map(str::to_owned),
        password: password.map(str::to_owned),
    })
}

/// Shows all but the password.
impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("tls", &self.tls)
            .field("socket", &self.socket)
            .field("database", &self.database)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}
