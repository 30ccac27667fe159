//! For tests: a folder with certificates, keys and files that name them.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType, date_time_ymd};

use super::Guard;

/// An authority that makes certificates.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(super) fn new(name: &str) -> Authority {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority(CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap())
    }

    pub(super) fn pem(&self) -> String {
        pem("CERTIFICATE", self.0.der())
    }

    /// A certificate and its key.
    pub(super) fn issue(&self, names: &[&str], until: i32) -> (String, String) {
        let mut parameters = CertificateParams::default();
        parameters.subject_alt_names = names.iter().map(|name| alternative_name(name)).collect();
        parameters.not_after = date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &self.0).unwrap();
        (pem("CERTIFICATE", certificate.der()), pem("PRIVATE KEY", key.serialized_der()))
    }
}

fn alternative_name(name: &str) -> SanType {
    if name.contains("://") {
        return SanType::URI(name.try_into().unwrap());
    }
    match name.parse() {
        Ok(address) => SanType::IpAddress(address),
        Err(_) if name.contains('@') => SanType::Rfc822Name(name.try_into().unwrap()),
        Err(_) => SanType::DnsName(name.try_into().unwrap()),
    }
}

pub(super) fn pem(kind: &str, content: &[u8]) -> String {
    let encoded = STANDARD.encode(content);
    let lines: Vec<_> = encoded.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", lines.join("\n"))
}

/// A folder with what the samples name.
pub(super) struct Folder {
    folder: tempfile::TempDir,
    /// Who has made the certificate of the server, and makes those of clients.
    pub(super) authority: Authority,
}

impl Folder {
    pub(super) fn new() -> Folder {
        let folder = Folder { folder: tempfile::tempdir().unwrap(), authority: Authority::new("authority") };
        let authority = &folder.authority;
        let (server, key) = authority.issue(&["localhost", "127.0.0.1"], 2200);
        let (expired, expired_key) = authority.issue(&["localhost"], 2001);
        let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
        for (name, content) in [
            ("chain.crt", format!("{server}{}", authority.pem())),
            ("several.crt", format!("{}{}", authority.pem(), Authority::new("other").pem())),
            ("server.crt", server),
            ("server.key", key),
            ("expired.crt", expired),
            ("expired.key", expired_key),
            ("authority.crt", authority.pem()),
            ("other.key", authority.issue(&[], 2200).1),
            ("empty.pem", String::new()),
            ("damaged.crt", "-----BEGIN CERTIFICATE-----\nMIIB".to_owned()),
            ("nonsense.crt", pem("CERTIFICATE", b"hunter2")),
            ("nonsense.key", pem("PRIVATE KEY", b"hunter2")),
            ("passphrase.key", pem("ENCRYPTED PRIVATE KEY", b"hunter2")),
            ("old-passphrase.key", old.to_owned()),
        ] {
            folder.write(name, &content);
        }
        folder
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn root(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file; lines `@name` are replaced by what is in the file of that name.
    pub(super) fn write(&self, name: &str, content: &str) -> PathBuf {
        let mut text = String::new();
        for line in content.lines() {
            match line.split_once('@') {
                Some((indent, name)) if indent.trim().is_empty() => {
                    let inserted = std::fs::read_to_string(self.path(name)).unwrap();
                    inserted.lines().for_each(|line| text.push_str(&format!("{indent}{line}\n")));
                }
                _ => text.push_str(&format!("{line}\n")),
            }
        }
        let path = self.path(name);
        // Another file in the place of the former one, as who changes certificates does.
        let new = self.path("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, &path).unwrap();
        path
    }

    /// A guard by a file with this text, which nobody looks at unless told so.
    pub(super) fn guard(&self, text: &str) -> Guard {
        Guard::read(&self.write("web.yml", text)).unwrap()
    }
}

/// A moment by which everything that was written rests.
pub(super) fn soon() -> SystemTime {
    SystemTime::now() + Duration::from_secs(60)
}
