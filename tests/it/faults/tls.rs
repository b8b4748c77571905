//! Venues over TLS, and such as only seem to be them.

use std::sync::Arc;

use cryptoprice::client::v1::{
    PriceStatus::{Degraded, Live},
    SourceState,
};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use tokio_rustls::rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer},
};

use super::{
    stage::{PAIR, Stage, surroundings},
    tongue::Tongue::{Binance, Bybit, Coinbase, Gate, Kraken, Okx},
    venue::{Proof, Venue},
};
use crate::{harness::provide_crypto, program::Program};

/// What the venues are called here.
const NAME: &str = "localhost";

/// Whoever is trusted to say who somebody is.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

impl Authority {
    fn new() -> Self {
        let mut about = CertificateParams::default();
        about.distinguished_name.push(DnType::CommonName, "An authority for loopback venues");
        about.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = about.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(about, key), certificate }
    }

    /// Vouches for whoever has this name, as it is changed.
    fn vouches(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Proof {
        let key = KeyPair::generate().unwrap();
        let mut about = about(name);
        change(&mut about);
        let certificate = about.signed_by(&key, &self.issuer).unwrap();
        proof(certificate.der(), &key)
    }
}

fn about(name: &str) -> CertificateParams {
    CertificateParams::new([name.to_owned()]).unwrap()
}

/// Vouches for itself.
fn self_signed() -> Proof {
    let key = KeyPair::generate().unwrap();
    proof(about(NAME).self_signed(&key).unwrap().der(), &key)
}

fn proof(certificate: &CertificateDer<'static>, key: &KeyPair) -> Proof {
    provide_crypto();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth();
    Arc::new(config.with_single_cert(vec![certificate.clone()], key).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_venue_that_cannot_prove_who_it_is_is_told_nothing_until_it_can() {
    let authority = Authority::new();
    let right = || authority.vouches(NAME, |_| ());
    let elsewhere = authority.vouches("exchange.example", |_| ());
    let expired = authority.vouches(NAME, |about| about.not_after = date_time_ymd(2020, 1, 1));
    let mut venues = Vec::new();
    for (tongue, tls) in
        [(Gate, right()), (Kraken, self_signed()), (Coinbase, elsewhere), (Okx, expired), (Bybit, right())]
    {
        venues.push(Arc::new(Venue::open_secure(tongue, &[PAIR], tls).await));
    }
    venues.push(Arc::new(Venue::open(Binance, &[PAIR]).await));
    let trusted = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(trusted.path(), &authority.certificate).unwrap();
    let mut settings = surroundings(&venues, &[]);
    settings.push(("SSL_CERT_FILE".to_owned(), trusted.path().to_str().unwrap().to_owned()));
    let stage = Stage::beside(Program::surrounded(&settings).await, venues).await;
    stage.priced_by(PAIR, 3).await;
    let wrong = [(Kraken, "UnknownIssuer"), (Coinbase, "not valid for name"), (Okx, "expired")];
    for (tongue, words) in wrong {
        let source = stage
            .until(tongue, words, |source| {
                source.state() == SourceState::Connecting && source.state_reason.contains(words)
            })
            .await;
        assert_eq!((source.frame_count, source.connection_count), (0, 0), "{source:#?}");
        let venue = stage.venue(tongue);
        assert_eq!((venue.handshakes(), venue.state().questions.len()), (0, 0), "nothing is said to it");
    }
    for (tongue, _) in wrong {
        stage.venue(tongue).prove(right());
    }
    stage.well(&wrong.map(|(tongue, _)| tongue), &[Live, Degraded]).await;
}
