//! Connections to PostgreSQL.

use std::{io, path::Path, sync::Arc, time::Duration};

use diesel::{ConnectionError, ConnectionResult};
use diesel_async::AsyncPgConnection;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio_postgres::{NoTls, config::SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{location::Server, pool::Limits};

/// Connects, and sets how long statements and locks may take.
pub(super) async fn connect(server: &Server, limits: &Limits) -> ConnectionResult<AsyncPgConnection> {
    let mut config = server.config.clone();
    if config.get_application_name().is_none() {
        config.application_name("cryptoprice");
    }
    config.connect_timeout(limits.connect).tcp_user_timeout(limits.statement + limits.connect);
    let connecting = async {
        if config.get_ssl_mode() == SslMode::Disable {
            let (client, connection) = config.connect(NoTls).await.map_err(|error| bad(&error))?;
            AsyncPgConnection::try_from_client_and_connection(client, connection).await
        } else {
            let tls = tls(server.root_certificate.as_deref()).map_err(|error| bad(&error))?;
            let (client, connection) = config.connect(tls).await.map_err(|error| bad(&error))?;
            AsyncPgConnection::try_from_client_and_connection(client, connection).await
        }
    };
    // A server that accepts and says nothing must not be waited for either.
    let mut connection = tokio::time::timeout(limits.connect, connecting)
        .await
        .map_err(|_| ConnectionError::BadConnection("no answer".to_owned()))??;
    diesel_async::SimpleAsyncConnection::batch_execute(&mut connection, &settings(limits))
        .await
        .map_err(ConnectionError::CouldntSetupConfiguration)?;
    Ok(connection)
}

fn settings(limits: &Limits) -> String {
    let millis = |span: Duration| span.as_millis().max(1);
    format!(
        "SET statement_timeout = {}; SET lock_timeout = {}; SET idle_in_transaction_session_timeout = {}",
        millis(limits.statement),
        millis(limits.lock),
        // Longer than a statement: it is for a client that was frozen or lost.
        millis(limits.statement * 2),
    )
}

/// Trusts whom the system trusts, and whoever the file names.
fn tls(root_certificate: Option<&Path>) -> io::Result<MakeRustlsConnect> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = root_certificate {
        let certificates = CertificateDer::pem_file_iter(path).map_err(io::Error::other)?;
        for certificate in certificates {
            roots.add(certificate.map_err(io::Error::other)?).map_err(io::Error::other)?;
        }
    } else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// Says why there is no connection, with all causes, as the outermost only names the step.
fn bad(error: &(dyn std::error::Error + 'static)) -> ConnectionError {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    ConnectionError::BadConnection(text)
}
