//! Certificates of those who connect: whether they are asked for one, and which are taken.
//!
//! A connection without a certificate is never refused: somebody may want to know whether the program is healthy, and its
//! other requests are refused one by one. One that shows a certificate that is not taken is.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use x509_cert::Certificate;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::{Decode, Header, Reader, SliceReader};

const SUBJECT_ALTERNATIVE_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");

/// What the file says of certificates of those who connect, in the words of Go, whose names the format has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum ClientAuth {
    /// Nobody is asked for one.
    #[default]
    NoClientCert,
    /// Everybody is asked, and whatever is shown is taken.
    RequestClientCert,
    /// The same, and who shows none may not ask anything.
    RequireAnyClientCert,
    /// One that is shown has to be of an authority that is trusted.
    VerifyClientCertIfGiven,
    /// The same, and who shows none may not ask anything.
    RequireAndVerifyClientCert,
}

impl ClientAuth {
    /// All of them, by the names that they have in files.
    pub(super) const NAMES: [(&'static str, ClientAuth); 6] = [
        ("NoClientCert", ClientAuth::NoClientCert),
        ("RequestClientCert", ClientAuth::RequestClientCert),
        ("RequireAnyClientCert", ClientAuth::RequireAnyClientCert),
        ("VerifyClientCertIfGiven", ClientAuth::VerifyClientCertIfGiven),
        ("RequireAndVerifyClientCert", ClientAuth::RequireAndVerifyClientCert),
        // The name that it had once.
        ("RequireClientCert", ClientAuth::RequireAnyClientCert),
    ];

    /// Whether who shows none may not ask anything.
    pub(super) fn is_required(self) -> bool {
        matches!(self, ClientAuth::RequireAnyClientCert | ClientAuth::RequireAndVerifyClientCert)
    }

    /// Whether one that is shown has to be of an authority that is trusted.
    pub(super) fn is_verified(self) -> bool {
        matches!(self, ClientAuth::VerifyClientCertIfGiven | ClientAuth::RequireAndVerifyClientCert)
    }
}

/// Judges certificates of those who connect.
#[derive(Debug)]
pub(super) struct Verifier {
    /// Looks whether an authority that is trusted has made it; `None` where any is taken.
    pub(super) authority: Option<Arc<dyn ClientCertVerifier>>,
    /// One of the names in the certificate has to be one of these.
    pub(super) allowed_names: Option<Vec<String>>,
    /// How signatures are checked.
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for Verifier {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.authority.as_ref().map_or(&[], |authority| authority.root_hint_subjects())
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if let Some(authority) = &self.authority {
            authority.verify_client_cert(end_entity, intermediates, now)?;
        }
        if let Some(allowed) = &self.allowed_names {
            let names = alternative_names(end_entity).ok_or(CertificateError::BadEncoding)?;
            if !names.iter().any(|name| allowed.contains(name)) {
                return Err(CertificateError::ApplicationVerificationFailure.into());
            }
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The hosts, e-mail addresses, IP addresses and URIs that a certificate is for; `None` where it can not be read.
fn alternative_names(certificate: &[u8]) -> Option<Vec<String>> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let mut extensions = certificate.tbs_certificate().extensions().into_iter().flatten();
    let Some(extension) = extensions.find(|extension| extension.extn_id == SUBJECT_ALTERNATIVE_NAME) else {
        return Some(Vec::new());
    };
    let mut reader = SliceReader::new(extension.extn_value.as_bytes()).ok()?;
    // A sequence of names, each with a number that says of which kind it is.
    Header::decode(&mut reader).ok()?;
    let mut names = Vec::new();
    while !reader.is_finished() {
        let header = Header::decode(&mut reader).ok()?;
        let value = reader.read_slice(header.length()).ok()?;
        names.extend(match header.tag().number().value() {
            1 | 2 | 6 => str::from_utf8(value).ok().map(str::to_owned),
            7 => address(value),
            _ => None,
        });
    }
    Some(names)
}

fn address(bytes: &[u8]) -> Option<String> {
    if let Ok(bytes) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(bytes).to_string());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|bytes| Ipv6Addr::from(bytes).to_string())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, CustomExtension, KeyPair, SanType};

    use super::*;

    fn certificate(names: Vec<SanType>) -> Vec<u8> {
        let mut parameters = CertificateParams::default();
        parameters.subject_alt_names = names;
        parameters.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn names_of_all_kinds_are_read() {
        let made = certificate(vec![
            SanType::DnsName("prometheus.example".try_into().unwrap()),
            SanType::Rfc822Name("uma@example.org".try_into().unwrap()),
            SanType::IpAddress("192.0.2.1".parse().unwrap()),
            SanType::IpAddress("2001:db8::1".parse().unwrap()),
            SanType::URI("spiffe://example.org/prometheus".try_into().unwrap()),
        ]);
        assert_eq!(
            alternative_names(&made).unwrap(),
            ["prometheus.example", "uma@example.org", "192.0.2.1", "2001:db8::1", "spiffe://example.org/prometheus"]
        );
        assert!(alternative_names(&certificate(Vec::new())).unwrap().is_empty());
    }

    #[test]
    fn what_is_damaged_has_no_names() {
        for damaged in [&b""[..], &b"\x04\x01a"[..], &b"\x30\x82\xff\xff"[..], &b"\x30\x05\x82\x7fabc"[..]] {
            let mut parameters = CertificateParams::default();
            parameters.custom_extensions = vec![CustomExtension::from_oid_content(&[2, 5, 29, 17], damaged.to_vec())];
            let made = parameters.self_signed(&KeyPair::generate().unwrap()).unwrap();
            assert!(alternative_names(made.der()).is_none_or(|names| names.is_empty()), "{damaged:?}");
        }
        assert!(alternative_names(b"").is_none() && alternative_names(b"\x30\x03abc").is_none());
    }
}
