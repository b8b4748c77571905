//! Where a database lies: a file, memory, or a server.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use percent_encoding::percent_decode_str;
use tokio_postgres::config::{Host, SslMode};

/// Where a database lies.
#[derive(Clone)]
pub enum Location {
    /// Nowhere: it is gone with the process.
    Memory,
    /// A file of SQLite.
    File(PathBuf),
    /// A server of PostgreSQL.
    Postgres(Box<Server>),
}

/// A server of PostgreSQL.
#[derive(Clone)]
pub struct Server {
    /// How it is connected to; what shows it hides the password.
    pub(super) config: tokio_postgres::Config,
    /// Who is trusted to vouch for it, beside those whom the system trusts.
    pub(super) root_certificate: Option<PathBuf>,
}

/// Why a text does not say where a database lies.
#[derive(Debug, thiserror::Error)]
pub enum LocationError {
    /// It begins with nothing that is known.
    #[error("expected sqlite://PATH, sqlite::memory: or postgres://HOST/DATABASE")]
    Scheme,
    /// It names no file.
    #[error("sqlite:// names no file")]
    NoFile,
    /// It names no server.
    #[error("not an address of PostgreSQL: {0}")]
    Postgres(String),
}

impl Location {
    /// Reads `sqlite://PATH`, `sqlite::memory:` or `postgres://…`. No error repeats what was given, as it may hold a
    /// password.
    pub fn parse(url: &str) -> Result<Self, LocationError> {
        if url == "sqlite::memory:" {
            return Ok(Self::Memory);
        }
        if let Some(path) = url.strip_prefix("sqlite://") {
            return if path.is_empty() { Err(LocationError::NoFile) } else { Ok(Self::File(path.into())) };
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Self::Postgres(Box::new(Server::parse(url)?)));
        }
        Err(LocationError::Scheme)
    }
}

impl Server {
    /// Reads the address. Beyond what the client understands, `sslrootcert` and the modes `verify-ca` and `verify-full`
    /// are known: with TLS the certificate is always verified. A server on this machine is spoken to without TLS unless
    /// the address calls for it.
    fn parse(url: &str) -> Result<Self, LocationError> {
        let (address, query) = url.split_once('?').unwrap_or((url, ""));
        let mut root_certificate = None;
        let mut mode = None;
        let mut rest = Vec::new();
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=') {
                Some(("sslrootcert", path)) => {
                    root_certificate = Some(percent_decode_str(path).decode_utf8_lossy().into_owned().into());
                }
                Some(("sslmode", value)) => mode = Some(value),
                _ => rest.push(parameter),
            }
        }
        let plain =
            if rest.is_empty() { address.to_owned() } else { format!("{address}?{}", rest.join("&")) };
        let mut config: tokio_postgres::Config =
            plain.parse().map_err(|error: tokio_postgres::Error| LocationError::Postgres(reason(&error)))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(LocationError::Postgres("it names no host".to_owned()));
        }
        config.ssl_mode(match mode {
            None if config.get_hosts().iter().all(is_local) => SslMode::Disable,
            Some("disable") => SslMode::Disable,
            None | Some("prefer" | "allow") => SslMode::Prefer,
            Some("require" | "verify-ca" | "verify-full") => SslMode::Require,
            Some(_) => return Err(LocationError::Postgres("its sslmode is unknown".to_owned())),
        });
        Ok(Self { config, root_certificate })
    }

    /// The variables by which PostgreSQL's own programs find the server, so that nothing secret stands on a command
    /// line.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let config = &self.config;
        let hosts: Vec<_> = config.get_hosts().iter().map(host_name).collect();
        let ports: Vec<_> = config.get_ports().iter().map(u16::to_string).collect();
        let mode = match config.get_ssl_mode() {
            SslMode::Disable => "disable",
            // Older programs know no certificates but those they are given.
            SslMode::Require if self.root_certificate.is_none() => "require",
            SslMode::Require => "verify-full",
            _ => "prefer",
        };
        let mut variables = vec![("PGHOST", hosts.join(",")), ("PGSSLMODE", mode.to_owned())];
        let optional = [
            ("PGPORT", Some(ports.join(",")).filter(|ports| !ports.is_empty())),
            ("PGUSER", config.get_user().map(str::to_owned)),
            ("PGDATABASE", config.get_dbname().map(str::to_owned)),
            ("PGOPTIONS", config.get_options().map(str::to_owned)),
            ("PGPASSWORD", config.get_password().map(|bytes| String::from_utf8_lossy(bytes).into_owned())),
            ("PGSSLROOTCERT", self.root_certificate.as_deref().map(|path| path.display().to_string())),
        ];
        variables.extend(optional.into_iter().filter_map(|(name, value)| Some((name, value?))));
        variables
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("sqlite::memory:"),
            Self::File(path) => write!(f, "sqlite://{}", Path::display(path)),
            Self::Postgres(server) => server.fmt(f),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let config = &self.config;
        let host = config.get_hosts().first().map(host_name).unwrap_or_default();
        let port = config.get_ports().first().unwrap_or(&5432);
        let database = config.get_dbname().or(config.get_user()).unwrap_or_default();
        write!(f, "postgres://{host}:{port}/{database}")
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn host_name(host: &Host) -> String {
    match host {
        Host::Tcp(name) => name.clone(),
        #[cfg(unix)]
        Host::Unix(path) => path.display().to_string(),
    }
}

fn is_local(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => {
            name == "localhost" || name.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
        }
        #[cfg(unix)]
        Host::Unix(_) => true,
    }
}

/// Says what is wrong with an address, in the words of the innermost error.
fn reason(error: &tokio_postgres::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_and_shown_without_their_passwords() {
        for (url, shown) in [
            ("sqlite::memory:", "sqlite::memory:"),
            ("sqlite://prices.db", "sqlite://prices.db"),
            ("sqlite:///var/lib/prices.db", "sqlite:///var/lib/prices.db"),
            ("postgres://me:hush%40@db.example.org/prices", "postgres://db.example.org:5432/prices"),
            ("postgresql://me:hush@127.0.0.1:6000/p?sslmode=disable", "postgres://127.0.0.1:6000/p"),
        ] {
            let location = Location::parse(url).unwrap();
            assert_eq!(location.to_string(), shown);
            assert!(!format!("{location:?}").contains("hush"));
        }
    }

    #[test]
    fn other_places_are_refused_without_repeating_them() {
        for url in [
            "",
            "sqlite:",
            "sqlite://",
            "mysql://me:hush@h/d",
            "postgres:///p",
            "postgres://me:hush@h:port/p",
            "postgres://me:hush@h/p?sslmode=hush",
            "postgres://me:hush@h/p?colour=hush",
        ] {
            let error = Location::parse(url).expect_err(url).to_string();
            assert!(!error.contains("hush"), "{error}");
        }
    }

    #[test]
    fn the_network_is_crossed_under_tls_alone_unless_it_is_told_otherwise() {
        for (url, mode) in [
            ("postgres://127.0.0.1/p", SslMode::Disable),
            ("postgres://localhost/p?sslmode=verify-full&sslrootcert=%2Fetc%2Froot.pem", SslMode::Require),
            ("postgres://db.example.org/p", SslMode::Prefer),
            ("postgres://db.example.org/p?sslmode=disable", SslMode::Disable),
            ("postgres://db.example.org/p?application_name=x&sslmode=require", SslMode::Require),
        ] {
            let Location::Postgres(server) = Location::parse(url).unwrap() else { panic!("{url}") };
            assert_eq!(server.config.get_ssl_mode(), mode, "{url}");
            assert_eq!(server.root_certificate.is_some(), url.contains("sslrootcert"), "{url}");
        }
    }

    #[test]
    fn the_programs_of_postgresql_find_the_server_by_variables() {
        let Location::Postgres(server) = Location::parse("postgres://me:hush%40@h:6000/p").unwrap() else {
            panic!("a server")
        };
        let variables = server.environment();
        for expected in [
            ("PGHOST", "h"),
            ("PGPORT", "6000"),
            ("PGUSER", "me"),
            ("PGDATABASE", "p"),
            ("PGPASSWORD", "hush@"),
            ("PGSSLMODE", "prefer"),
        ] {
            assert!(
                variables.iter().any(|(name, value)| (*name, value.as_str()) == expected),
                "{expected:?}"
            );
        }
    }
}
