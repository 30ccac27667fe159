//! The server's certificate and key, and the authorities of those who connect: from PEM to what rustls takes.
//!
//! What is wrong is told as what somebody can do about it; nothing of a key is in it.

use std::sync::{Arc, LazyLock};

use tokio_rustls::rustls::crypto::{CryptoProvider, SupportedKxGroup, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::{Error, RootCertStore, SupportedCipherSuite, SupportedProtocolVersion, version};
use x509_cert::Certificate;
use x509_cert::der::Decode;

use crate::system::time::Timestamp;

/// How connections are encrypted: ring's ways, all that rustls takes as safe.
pub(super) static PROVIDER: LazyLock<CryptoProvider> = LazyLock::new(ring::default_provider);

/// The versions of TLS that there are here, by the names that they have in files.
pub(super) const VERSIONS: [(&str, &SupportedProtocolVersion); 2] =
    [("TLS12", &version::TLS12), ("TLS13", &version::TLS13)];

/// The ways to agree on a key, by the names that they have in files.
pub(super) const CURVES: [(&str, &dyn SupportedKxGroup); 3] = [
    ("CurveP256", ring::kx_group::SECP256R1),
    ("CurveP384", ring::kx_group::SECP384R1),
    ("X25519", ring::kx_group::X25519),
];

/// The ways to encrypt, by the names that they have in files.
pub(super) const CIPHER_SUITES: [(&str, SupportedCipherSuite); 9] = {
    use ring::cipher_suite::*;
    [
        ("TLS_AES_128_GCM_SHA256", TLS13_AES_128_GCM_SHA256),
        ("TLS_AES_256_GCM_SHA384", TLS13_AES_256_GCM_SHA384),
        ("TLS_CHACHA20_POLY1305_SHA256", TLS13_CHACHA20_POLY1305_SHA256),
        ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
        ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
        ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
        ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
        ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
        ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
    ]
};

/// Why a certificate or a key can not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum PemError {
    #[error("there is no certificate in it; one begins with -----BEGIN CERTIFICATE-----")]
    NoCertificate,
    #[error("there is a certificate in it that can not be read; is it whole?")]
    DamagedCertificate,
    #[error("there is no private key in it; one begins with -----BEGIN PRIVATE KEY-----")]
    NoKey,
    #[error("the key has a passphrase, which nobody is there to type; `openssl pkey -in KEY -out NEW` takes it away")]
    Passphrase,
    #[error(
        "the key can not be read, or is of another kind than RSA (2048 bits and more), ECDSA (P-256, P-384) and Ed25519"
    )]
    UnusableKey,
    #[error(
        "the key does not belong to the certificate (where there are several in it, the server's own is the first)"
    )]
    OtherKey,
    #[error("there is no certificate of an authority in it that can be used")]
    NoAuthority,
}

/// All certificates in a text.
pub(super) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = certificates.map_err(|_| PemError::DamagedCertificate)?;
    if certificates.is_empty() { Err(PemError::NoCertificate) } else { Ok(certificates) }
}

/// The first key in a text.
pub(super) fn key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, PemError> {
    let is_there = |words: &[u8]| pem.windows(words.len()).any(|part| part == words);
    if is_there(b"-----BEGIN ENCRYPTED PRIVATE KEY-----") || is_there(b"Proc-Type: 4,ENCRYPTED") {
        return Err(PemError::Passphrase);
    }
    match PrivateKeyDer::pem_slice_iter(pem).next() {
        None => Err(PemError::NoKey),
        Some(key) => key.map_err(|_| PemError::UnusableKey),
    }
}

/// What the server shows.
pub(super) fn certified(
    certificates: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<SingleCertAndKey>, PemError> {
    let certified = CertifiedKey::from_der(certificates, key, &PROVIDER);
    certified.map(|certified| Arc::new(SingleCertAndKey::from(certified))).map_err(|error| match error {
        Error::InconsistentKeys(_) => PemError::OtherKey,
        Error::InvalidCertificate(_) => PemError::DamagedCertificate,
        _ => PemError::UnusableKey,
    })
}

/// Until when a certificate is valid.
pub(super) fn expiry(certificate: &CertificateDer<'_>) -> Option<Timestamp> {
    let certificate = Certificate::from_der(certificate).ok()?;
    Timestamp::from_seconds(certificate.tbs_certificate().validity().not_after.to_unix_duration().as_secs_f64())
}

/// What takes certificates that one of these authorities has made.
pub(super) fn authorities(
    certificates: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, PemError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate).map_err(|_| PemError::NoAuthority)?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().map_err(|_| PemError::NoAuthority)
}
