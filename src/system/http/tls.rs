//! TLS: whose certificates are trusted, and until when the one that a peer shows is valid.
//!
//! A certificate is judged as rustls judges it; on the way its end is noted, also of one that is refused, because
//! that is when somebody wants to know it.

use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{Resumption, WebPkiServerVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use x509_cert::Certificate;
use x509_cert::der::Decode;

use super::aside::Aside;
use super::{HttpError, Stage};
use crate::system::files::{ParseFault, Watched};

/// After this long the system's certificates are loaded again, so that an update of theirs needs no restart.
const SYSTEM_KEPT: Duration = Duration::from_secs(3600);

static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(ring::default_provider()));

/// The system's certificates are a few hundred: one set for the whole process.
static SYSTEM: Mutex<Option<(Instant, Arc<WebPkiServerVerifier>)>> = Mutex::new(None);
static LOADING_SYSTEM: Aside<Loaded> = Aside::new();

type Loaded = Result<Arc<WebPkiServerVerifier>, HttpError>;

/// Whose certificates are trusted.
#[derive(Debug)]
pub struct Trust(Kind);

#[derive(Debug)]
enum Kind {
    System,
    File { watched: Arc<Mutex<Watched<Arc<WebPkiServerVerifier>>>>, loading: Aside<Loaded> },
}

impl Trust {
    /// Those of the authorities that the system trusts.
    pub fn system() -> Trust {
        Trust(Kind::System)
    }

    /// Those of the authorities in a PEM file, and no others. It is read again when it changes.
    pub fn file(path: PathBuf) -> Trust {
        Trust(Kind::File { watched: Arc::new(Mutex::new(Watched::new(path))), loading: Aside::new() })
    }

    /// What makes a TLS connection; `expiry` takes the end of the certificate that is shown.
    pub(super) async fn connector(
        &self,
        stage: &mut Stage,
        expiry: &Arc<OnceLock<f64>>,
    ) -> Result<TlsConnector, HttpError> {
        let verifier = self.verifier(stage).await?;
        let witness = Witness { verifier, expiry: Arc::clone(expiry) };
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&PROVIDER))
            .with_safe_default_protocol_versions()
            .map_err(|error| HttpError::Tls(std::io::Error::other(error)))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(witness))
            .with_no_client_auth();
        // A resumed session shows no certificate.
        config.resumption = Resumption::disabled();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsConnector::from(Arc::new(config)))
    }

    async fn verifier(&self, stage: &mut Stage) -> Loaded {
        let loaded = match &self.0 {
            Kind::File { watched, loading } => {
                let watched = Arc::clone(watched);
                loading.join_or(stage, Stage::Trust, move || load_file(&watched)).await
            }
            Kind::System => match kept_system() {
                Some(verifier) => return Ok(verifier),
                None => LOADING_SYSTEM.join_or(stage, Stage::Trust, load_system).await,
            },
        };
        loaded.unwrap_or(Err(HttpError::NobodyTrusted))
    }
}

fn load_file(watched: &Mutex<Watched<Arc<WebPkiServerVerifier>>>) -> Loaded {
    let parse = |content: &[u8]| {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(content).collect();
        verifier(certificates.map_err(|_| ParseFault::SOMEWHERE)?).ok_or(ParseFault::SOMEWHERE)
    };
    let mut watched = watched.lock().unwrap_or_else(PoisonError::into_inner);
    match watched.get(parse) {
        Ok(Some(verifier)) => Ok(Arc::clone(verifier)),
        Ok(None) => Err(HttpError::NobodyTrusted),
        Err(error) => Err(HttpError::Trust(error)),
    }
}

fn kept_system() -> Option<Arc<WebPkiServerVerifier>> {
    let kept = SYSTEM.lock().unwrap_or_else(PoisonError::into_inner);
    let (since, verifier) = kept.as_ref()?;
    (since.elapsed() < SYSTEM_KEPT).then(|| Arc::clone(verifier))
}

fn load_system() -> Loaded {
    // Somebody else may have done it while this waited for its turn.
    if let Some(verifier) = kept_system() {
        return Ok(verifier);
    }
    let verifier = verifier(rustls_native_certs::load_native_certs().certs).ok_or(HttpError::NobodyTrusted)?;
    *SYSTEM.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), Arc::clone(&verifier)));
    Ok(verifier)
}

/// `None` where none of the certificates can be trusted.
fn verifier(certificates: Vec<CertificateDer<'static>>) -> Option<Arc<WebPkiServerVerifier>> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates);
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&PROVIDER)).build().ok()
}

/// Judges a certificate as rustls does, and notes its end.
#[derive(Debug)]
struct Witness {
    verifier: Arc<WebPkiServerVerifier>,
    expiry: Arc<OnceLock<f64>>,
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Ok(certificate) = Certificate::from_der(end_entity) {
            let not_after = certificate.tbs_certificate().validity().not_after;
            let _ = self.expiry.set(not_after.to_unix_duration().as_secs_f64());
        }
        self.verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
