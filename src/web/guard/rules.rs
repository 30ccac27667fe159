//! From the file to what follows from it: everything that types alone do not check, and the files that it names.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, header};
use serde_saphyr::{Location, Spanned};
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{ServerConfig, SupportedCipherSuite, SupportedProtocolVersion};

use super::certificates::{self, CIPHER_SUITES, CURVES, PROVIDER, PemError, VERSIONS};
use super::client_certificates::{ClientAuth, Verifier};
use super::passwords::Users;
use super::rate_limit::RateLimit;
use super::raw::{self, RawFile, RawHeaders, RawRateLimit, RawSecret, RawTls};
use crate::config_file::{Check, ConfigError};
use crate::error_chain::display_chain;
use crate::system::files::{self, FileError, Stamp};
use crate::system::time::Timestamp;

/// A hash of a higher cost keeps a processor for more than five seconds.
const HIGHEST_COST: u32 = 16;

/// The least that bcrypt has.
const LOWEST_COST: u32 = 4;

/// What is demanded of who connects and asks.
#[derive(Debug, Default)]
pub(super) struct Rules {
    pub(super) tls: Option<Tls>,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) users: Users,
    pub(super) rate_limit: Option<RateLimit>,
}

/// How connections are encrypted.
#[derive(Debug)]
pub(super) struct Tls {
    pub(super) config: Arc<ServerConfig>,
    pub(super) client_auth: ClientAuth,
    /// Until when the certificate is valid.
    pub(super) expiry: Option<Timestamp>,
}

impl Rules {
    /// What is asked of certificates of those who connect.
    pub(super) fn client_auth(&self) -> ClientAuth {
        self.tls.as_ref().map(|tls| tls.client_auth).unwrap_or_default()
    }

    /// Whether somebody who can reach an address is asked who they are.
    pub(super) fn has_authentication(&self) -> bool {
        !self.users.is_empty() || self.client_auth() == ClientAuth::RequireAndVerifyClientCert
    }

    /// Says in the log what somebody may not have meant.
    pub(super) fn warn(&self) {
        let expiry = self.tls.as_ref().and_then(|tls| tls.expiry);
        if expiry.is_some_and(|expiry| expiry <= Timestamp::now()) {
            tracing::warn!("The certificate that is shown to clients has expired.");
        }
        if self.client_auth() == ClientAuth::RequireAnyClientCert {
            tracing::warn!(
                "RequireAnyClientCert takes certificates that anybody can make, and is no authentication; RequireAndVerifyClientCert is."
            );
        }
        if self.tls.is_none() && !self.users.is_empty() {
            tracing::warn!("Passwords are asked for without TLS; whoever is on the way can read them.");
        }
    }
}

/// The files that rules follow from, and the stamps that they had before they were read.
pub(super) type Sources = Vec<(PathBuf, Option<Stamp>)>;

/// Reads the file and what it names, and notes in `sources` what it reads.
pub(super) fn read(path: &Path, sources: &mut Sources) -> Result<Rules, ConfigError> {
    let raw = parse(path, sources)?;
    Reading { check: Check::of(path), folder: path.parent().unwrap_or(Path::new("")), sources }.rules(raw)
}

fn parse(path: &Path, sources: &mut Sources) -> Result<RawFile, ConfigError> {
    let unreadable = |problem| ConfigError::Read { path: path.to_owned(), source: std::io::Error::other(problem) };
    let content = read_noted(path, sources).map_err(unreadable)?;
    let text = String::from_utf8(content).map_err(|_| unreadable("it is not text in UTF-8".to_owned()))?;
    raw::parse(path, &text).map_err(without_secrets)
}

/// Whether something may be told of a file with secrets: no hash, key or certificate looks like that.
fn is_word(typed: &str) -> bool {
    typed.len() <= 50 && typed.chars().all(|letter| letter.is_alphanumeric() || "_-.".contains(letter))
}

/// A secret that stands in the place of a key is no key, and not to be told.
fn without_secrets(error: ConfigError) -> ConfigError {
    match error {
        ConfigError::UnknownKey { path, line, column, key, nearest, known } if !is_word(&key) => {
            ConfigError::UnknownKey { path, line, column, key: "…".to_owned(), nearest, known }
        }
        other => other,
    }
}

/// Whether connections to a program with this file are encrypted; for who asks it.
pub(super) fn is_encrypted(path: &Path) -> Result<bool, ConfigError> {
    Ok(parse(path, &mut Vec::new())?.tls_server_config.is_some())
}

fn read_noted(path: &Path, sources: &mut Sources) -> Result<Vec<u8>, String> {
    // What is written while it is read must not have the stamp of what was read.
    sources.push((path.to_owned(), stamp(path)));
    match files::read(path) {
        Ok(Some(content)) => Ok(content),
        Ok(None) => Err(format!("{} is not there", path.display())),
        Err(error @ FileError::Permission { .. }) => {
            Err(format!("{error}; the user that this program runs as has to be able to"))
        }
        Err(error) => Err(display_chain(&error)),
    }
}

/// The stamp of what can be looked at.
pub(super) fn stamp(path: &Path) -> Option<Stamp> {
    files::stamp(path).ok().flatten()
}

/// Text in PEM, and where it stands in the file.
struct Pem {
    key: &'static str,
    at: Location,
    /// Where it was read; nothing where it stands in the file itself.
    from: Option<PathBuf>,
    content: Vec<u8>,
}

struct Reading<'a> {
    check: Check<'a>,
    folder: &'a Path,
    sources: &'a mut Sources,
}

impl Reading<'_> {
    fn rules(&mut self, raw: RawFile) -> Result<Rules, ConfigError> {
        let users = raw.basic_auth_users.map(|users| self.users(users.0)).transpose()?;
        Ok(Rules {
            tls: raw.tls_server_config.as_ref().map(|tls| self.tls(tls)).transpose()?,
            headers: self.headers(raw.http_server_config.and_then(|http| http.headers).unwrap_or_default())?,
            users: users.unwrap_or_default(),
            rate_limit: raw.rate_limit.as_ref().map(|limit| self.rate_limit(limit)).transpose()?.flatten(),
        })
    }

    fn tls(&mut self, typed: &Spanned<RawTls>) -> Result<Tls, ConfigError> {
        let raw = &typed.value;
        let missing = |key: &str, what: &str| {
            let problem = format!("TLS needs {what}: give {key}_file, the path of one, or {key}, its text");
            self.check.invalid(&typed.referenced, "tls_server_config", problem)
        };
        let (no_certificate, no_key) = (missing("cert", "a certificate"), missing("key", "the certificate's key"));
        let client_auth = self.client_auth(raw)?;
        let provider = Arc::new(self.provider(raw)?);
        let versions = self.versions(raw, &provider)?;

        let certificate_pem =
            self.pem(("cert_file", "cert"), raw.cert_file.as_ref(), raw.cert.as_ref())?.ok_or(no_certificate)?;
        let key_pem = self.pem(("key_file", "key"), raw.key_file.as_ref(), raw.key.as_ref())?.ok_or(no_key)?;
        let shown = certificates::certificates(&certificate_pem.content)
            .map_err(|error| self.unusable(&certificate_pem, error))?;
        let key = certificates::key(&key_pem.content).map_err(|error| self.unusable(&key_pem, error))?;
        let expiry = shown.first().and_then(certificates::expiry);
        let shown = certificates::certified(shown, key).map_err(|error| {
            let of_certificate = error == PemError::DamagedCertificate;
            self.unusable(if of_certificate { &certificate_pem } else { &key_pem }, error)
        })?;

        let verifier = match client_auth {
            ClientAuth::NoClientCert => WebPkiClientVerifier::no_client_auth(),
            _ => Arc::new(self.verifier(raw, client_auth, &provider)?),
        };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)
            .map_err(|error| self.check.invalid(&typed.referenced, "tls_server_config", error.to_string()))?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(shown);
        config.ignore_client_order = raw.prefer_server_cipher_suites.unwrap_or(true);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Tls { config: Arc::new(config), client_auth, expiry })
    }

    /// What stands in the file, or in another one that it names.
    fn pem(
        &mut self,
        (key_of_file, key): (&'static str, &'static str),
        file: Option<&Spanned<String>>,
        text: Option<&Spanned<RawSecret>>,
    ) -> Result<Option<Pem>, ConfigError> {
        let file = file.filter(|file| !file.value.is_empty());
        let text = text.filter(|text| !text.value.0.is_empty());
        match (file, text) {
            (None, None) => Ok(None),
            (Some(_), Some(text)) => {
                let problem = format!("{key} and {key_of_file} say the same thing; write one of them");
                Err(self.check.invalid(&text.referenced, key, problem))
            }
            (None, Some(text)) => {
                Ok(Some(Pem { key, at: text.referenced, from: None, content: text.value.0.clone().into_bytes() }))
            }
            (Some(file), None) if file.value.contains(char::is_control) || file.value.starts_with(['-', '$']) => {
                let problem = format!("what stands here is not the path of a file; the text of one goes to {key}");
                Err(self.check.invalid(&file.referenced, key_of_file, problem))
            }
            (Some(file), None) => {
                let path = self.folder.join(&file.value);
                let at = file.referenced;
                let content = read_noted(&path, self.sources);
                let content = content.map_err(|problem| self.check.invalid(&at, key_of_file, problem))?;
                Ok(Some(Pem { key: key_of_file, at, from: Some(path), content }))
            }
        }
    }

    fn unusable(&self, pem: &Pem, error: PemError) -> ConfigError {
        let problem = match &pem.from {
            Some(path) => format!("{}: {error}", path.display()),
            None => error.to_string(),
        };
        self.check.invalid(&pem.at, pem.key, problem)
    }

    fn client_auth(&self, raw: &RawTls) -> Result<ClientAuth, ConfigError> {
        let typed = raw.client_auth_type.as_ref().filter(|typed| !typed.value.is_empty());
        let client_auth = match typed {
            None => ClientAuth::default(),
            Some(typed) => self.one_of(typed, "client_auth_type", &ClientAuth::NAMES)?,
        };
        let file = raw.client_ca_file.as_ref().filter(|file| !file.value.is_empty());
        let text = raw.client_ca.as_ref().filter(|text| !text.value.0.is_empty());
        let file = file.map(|file| (file.referenced, "client_ca_file"));
        let authority = file.or(text.map(|text| (text.referenced, "client_ca")));
        match (authority, typed) {
            (Some((at, key)), _) if client_auth == ClientAuth::NoClientCert => {
                let problem =
                    "nobody is asked for a certificate; client_auth_type: RequireAndVerifyClientCert does that";
                return Err(self.check.invalid(&at, key, problem));
            }
            (None, Some(typed)) if client_auth.is_verified() => {
                let problem = format!(
                    "{} needs client_ca_file, the certificate of the authority that makes those of clients",
                    typed.value
                );
                return Err(self.check.invalid(&typed.referenced, "client_auth_type", problem));
            }
            _ => {}
        }
        if let Some(names) = &raw.client_allowed_sans {
            if !client_auth.is_required() {
                let problem = "this needs client_auth_type: RequireAndVerifyClientCert; with others, who shows no certificate is let in whatever stands here";
                return Err(self.check.invalid(&names.referenced, "client_allowed_sans", problem));
            }
            if names.value.is_empty() {
                let problem =
                    "an empty list lets nobody in; write names, or leave it out for whoever has a certificate";
                return Err(self.check.invalid(&names.referenced, "client_allowed_sans", problem));
            }
        }
        Ok(client_auth)
    }

    fn verifier(
        &mut self,
        raw: &RawTls,
        client_auth: ClientAuth,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Verifier, ConfigError> {
        let pem = self.pem(("client_ca_file", "client_ca"), raw.client_ca_file.as_ref(), raw.client_ca.as_ref())?;
        let authority = pem.map(|pem| {
            let authority = certificates::certificates(&pem.content)
                .and_then(|authorities| certificates::authorities(authorities, Arc::clone(provider)));
            authority.map_err(|error| self.unusable(&pem, error))
        });
        Ok(Verifier {
            // Also one that is not used has to be a sound one.
            authority: authority.transpose()?.filter(|_| client_auth.is_verified()),
            allowed_names: raw.client_allowed_sans.as_ref().map(|names| names.value.clone()),
            algorithms: provider.signature_verification_algorithms,
        })
    }

    fn provider(&self, raw: &RawTls) -> Result<CryptoProvider, ConfigError> {
        let mut provider = PROVIDER.clone();
        let mut suites: Vec<SupportedCipherSuite> = Vec::new();
        for typed in raw.cipher_suites.iter().flatten() {
            suites.push(self.one_of(typed, "cipher_suites", &CIPHER_SUITES)?);
        }
        if !suites.is_empty() {
            // As in Go, those of TLS 1.3 are not chosen.
            suites.retain(|suite| suite.tls13().is_none());
            provider.cipher_suites.retain(|suite| suite.tls13().is_some());
            provider.cipher_suites.append(&mut suites);
        }
        let mut curves = Vec::new();
        for typed in raw.curve_preferences.iter().flatten() {
            curves.push(self.one_of(typed, "curve_preferences", &CURVES)?);
        }
        if !curves.is_empty() {
            provider.kx_groups = curves;
        }
        Ok(provider)
    }

    fn versions(
        &self,
        raw: &RawTls,
        provider: &CryptoProvider,
    ) -> Result<Vec<&'static SupportedProtocolVersion>, ConfigError> {
        let place = |typed: Option<&Spanned<String>>, key, otherwise: usize| {
            let Some(typed) = typed.filter(|typed| !typed.value.is_empty()) else { return Ok(otherwise) };
            if matches!(&*typed.value, "TLS10" | "TLS11") {
                let problem = format!("{} is broken and not spoken here; there are TLS12 and TLS13", typed.value);
                return Err(self.check.invalid(&typed.referenced, key, problem));
            }
            let version = self.one_of(typed, key, &VERSIONS)?;
            Ok(VERSIONS.iter().position(|(_, known)| *known == version).unwrap_or(otherwise))
        };
        let lowest = place(raw.min_version.as_ref(), "min_version", 0)?;
        let highest = place(raw.max_version.as_ref(), "max_version", VERSIONS.len() - 1)?;
        let versions: Vec<_> = VERSIONS.iter().skip(lowest).take((highest + 1).saturating_sub(lowest)).collect();
        let is_usable = |version: &SupportedProtocolVersion| {
            provider.cipher_suites.iter().any(|suite| suite.version().version == version.version)
        };
        let Some(typed) = raw.max_version.as_ref().filter(|_| !versions.iter().any(|(_, version)| is_usable(version)))
        else {
            return Ok(versions.into_iter().map(|(_, version)| *version).collect());
        };
        let problem = match versions.is_empty() {
            true => "this is lower than min_version",
            false => "cipher_suites has none of TLS 1.2, and so no version is left",
        };
        Err(self.check.invalid(&typed.referenced, "max_version", problem))
    }

    /// What has this name.
    fn one_of<T: Copy>(
        &self,
        typed: &Spanned<String>,
        key: &str,
        known: &[(&'static str, T)],
    ) -> Result<T, ConfigError> {
        known.iter().find(|(name, _)| *name == typed.value).map(|(_, meant)| *meant).ok_or_else(|| {
            let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
            let what = if is_word(&typed.value) { format!("{:?}", typed.value) } else { "such thing".to_owned() };
            let problem = format!("there is no {what} here; there are: {}", names.join(", "));
            self.check.invalid(&typed.referenced, key, problem)
        })
    }

    fn users(&self, typed: Vec<(Spanned<String>, Spanned<RawSecret>)>) -> Result<Users, ConfigError> {
        let mut users = Vec::new();
        for (name, hash) in typed {
            let key = format!("basic_auth_users.{}", name.value);
            if name.value.is_empty()
                || name.value.contains(|character: char| character == ':' || character.is_control())
            {
                let problem =
                    "a name has at least one character, and no colon: it ends the name where somebody gives it";
                return Err(self.check.invalid(&name.referenced, "basic_auth_users", problem));
            }
            let cost = hash.value.0.parse::<bcrypt::HashParts>().map(|parts| parts.get_cost());
            let problem = match cost {
                Ok(LOWEST_COST..=HIGHEST_COST) => {
                    users.push((name.value, hash.value.0));
                    continue;
                }
                Ok(cost @ 0..LOWEST_COST) => format!("a cost of {cost} is less than bcrypt has; 10 to 12 are usual"),
                Ok(cost) => format!(
                    "a cost of {cost} would keep a processor busy for seconds or minutes with each password that somebody tries; at most {HIGHEST_COST}, and 10 to 12 are usual"
                ),
                Err(_) => "this is not a bcrypt hash, which has 60 characters and begins with $2y$, $2b$ or $2a$; where it is the password itself, make its hash with `htpasswd -nBC 10 \"\"`".to_owned(),
            };
            return Err(self.check.invalid(&hash.referenced, &key, problem));
        }
        Ok(Users::of(users))
    }

    fn headers(&self, raw: RawHeaders) -> Result<Vec<(HeaderName, HeaderValue)>, ConfigError> {
        let typed = [
            ("Content-Security-Policy", header::CONTENT_SECURITY_POLICY, raw.content_security_policy, &[][..]),
            ("X-Frame-Options", header::X_FRAME_OPTIONS, raw.x_frame_options, &["deny", "sameorigin"]),
            ("X-Content-Type-Options", header::X_CONTENT_TYPE_OPTIONS, raw.x_content_type_options, &["nosniff"]),
            ("X-XSS-Protection", header::X_XSS_PROTECTION, raw.x_xss_protection, &[]),
            ("Strict-Transport-Security", header::STRICT_TRANSPORT_SECURITY, raw.strict_transport_security, &[]),
        ];
        let mut headers = Vec::new();
        for (key, name, typed, allowed) in typed {
            let Some(typed) = typed.filter(|typed| !typed.value.is_empty()) else { continue };
            if !allowed.is_empty() && !allowed.contains(&&*typed.value) {
                let problem = format!("{:?} is none of its values; there are: {}", typed.value, allowed.join(", "));
                return Err(self.check.invalid(&typed.referenced, key, problem));
            }
            let value = HeaderValue::from_str(&typed.value).map_err(|_| {
                let problem = "there is a character in it that no header may have; write it in one line";
                self.check.invalid(&typed.referenced, key, problem)
            })?;
            headers.push((name, value));
        }
        Ok(headers)
    }

    fn rate_limit(&self, typed: &Spanned<RawRateLimit>) -> Result<Option<RateLimit>, ConfigError> {
        let RawRateLimit { interval, burst } = &typed.value;
        let Some(duration) = interval.value.0.filter(|duration| !duration.0.is_zero()) else { return Ok(None) };
        let interval = self.check.in_range(duration, &interval.referenced, "interval", Duration::from_micros(1))?;
        if burst.value == 0 {
            let problem = "with 0 no request is ever answered; at least 1";
            return Err(self.check.invalid(&burst.referenced, "burst", problem));
        }
        Ok(Some(RateLimit { interval, burst: burst.value }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::trial::Folder;
    use super::*;

    fn samples(kind: &str) -> Vec<(String, String)> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/web-config").join(kind);
        let mut samples: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| {
                (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read_to_string(path).unwrap())
            })
            .collect();
        samples.sort();
        assert!(!samples.is_empty());
        samples
    }

    /// Every file below tests/fixtures/web-config is a test: those in `valid` are accepted, each of those in `invalid`
    /// gives exactly the message in its last comment lines.
    #[test]
    fn sample_files() {
        let folder = Folder::new();
        let read = |name: &str, text: &str| rules(&folder, name, text);
        for (name, text) in samples("valid") {
            read(&name, &text).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        let mut wrong = Vec::new();
        for (name, text) in samples("invalid") {
            let expected: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("#> ")).collect();
            let said = read(&name, &text).expect_err(&name);
            if said != expected.join("\n") {
                wrong.push(format!("{name}\n#> {}", said.replace('\n', "\n#> ")));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    /// Reads a file with this text next to the certificates; the error without the folder.
    fn rules(folder: &Folder, name: &str, text: &str) -> Result<Rules, String> {
        let path = folder.write(name, text);
        let read = read(&path, &mut Vec::new());
        read.map_err(|error| display_chain(&error).replace(&format!("{}/", folder.root().display()), ""))
    }

    #[test]
    fn what_follows_from_a_file() {
        let folder = Folder::new();
        let of = |name: &str| {
            let (_, text) = samples("valid").into_iter().find(|(known, _)| known == name).unwrap();
            rules(&folder, name, &text).unwrap()
        };
        let all = of("everything.yml");
        let tls = all.tls.as_ref().unwrap();
        assert!(tls.client_auth == ClientAuth::RequireAndVerifyClientCert && !tls.config.ignore_client_order);
        assert_eq!(tls.expiry.unwrap().seconds(), 7_258_118_400.0);
        let suites: Vec<_> = tls.config.crypto_provider().cipher_suites.iter().map(|suite| suite.suite()).collect();
        assert_eq!(suites.len(), 5, "{suites:?}");
        assert!(
            format!("{suites:?}")
                .ends_with("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256]")
        );
        assert_eq!(format!("{:?}", tls.config.crypto_provider().kx_groups), "[X25519, secp384r1, secp256r1]");
        assert_eq!(tls.config.alpn_protocols, [b"http/1.1"]);
        assert_eq!(all.headers.len(), 5);
        assert_eq!(all.rate_limit, Some(RateLimit { interval: Duration::from_secs(1), burst: 20 }));
        for (name, has_authentication) in [
            ("everything.yml", true),
            ("passwords.yml", true),
            ("tls.yml", false),
            ("tls-inline.yml", false),
            ("old-name.yml", false),
            ("all-left-out.yml", false),
        ] {
            assert_eq!(of(name).has_authentication(), has_authentication, "{name}");
        }
        let nothing = of("all-left-out.yml");
        assert!(nothing.tls.is_none() && nothing.headers.is_empty() && nothing.rate_limit.is_none());
    }

    #[test]
    fn nothing_secret_is_told() {
        let folder = Folder::new();
        for (name, text) in samples("invalid") {
            let error = rules(&folder, &name, &text).unwrap_err();
            assert!(!error.contains("hunter2") && !error.contains("mDwo.lAisC"), "{error}");
        }
        // What somebody has put into the wrong place.
        let hash = "$2y$10$mDwo.lAisC94iLAyP81MCesa29IzH37oigHC/42V2pdJlUprsJPze";
        let key = "|\n    -----BEGIN PRIVATE KEY-----\n    hunter2\n    -----END PRIVATE KEY-----\n";
        for (text, expected) in [
            (format!("tls_server_config:\n  cert_file: server.crt\n  key_file: {key}"), "the text of one goes to key"),
            (format!("tls_server_config: {{cert_file: {hash}, key: a}}"), "the text of one goes to cert"),
            (format!("{hash}: alice\n"), "unknown key `…`"),
            (format!("tls_server_config: {{min_version: {hash}}}"), "there is no such thing here"),
        ] {
            let error = rules(&folder, "web.yml", &text).unwrap_err();
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains("hunter2") && !error.contains("mDwo.lAisC"), "{error}");
        }
        let text = "tls_server_config: {cert: hunter2, key: hunter2}\nbasic_auth_users: {uma: hunter2}\n";
        let raw = raw::parse(Path::new("web.yml"), text).unwrap();
        assert!(!format!("{raw:?}").contains("hunter2"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC*|([a-z_]{1,12}: ?[\\[\\]{}a-zA-Z0-9$,.\n -]{0,20}\n){0,6}") {
            let _ = read_text(&text);
        }

        #[test]
        fn no_file_of_roughly_the_right_shape_makes_it_panic(
            key in proptest::sample::select(&["cert", "key", "client_ca", "client_auth_type", "client_allowed_sans",
                "min_version", "max_version", "cipher_suites", "curve_preferences", "cert_file", "keyfile"][..]),
            value in "[ \\PC]{0,40}",
            name in "\\PC{0,10}",
        ) {
            let _ = read_text(&format!("tls_server_config: {{cert: a, {key}: {value}}}"));
            let _ = read_text(&format!("tls_server_config:\n  key: |\n    {value}\n  cert: {value:?}"));
            let _ = read_text(&format!("basic_auth_users: {{{name:?}: {value:?}}}"));
            let _ = read_text(&format!("http_server_config: {{headers: {{X-Frame-Options: {value}}}}}"));
            let _ = read_text(&format!("rate_limit: {{interval: {value}, burst: {name}}}"));
        }

        #[test]
        fn no_pem_makes_the_reader_panic(content: Vec<u8>, kind in "CERTIFICATE|PRIVATE KEY|RSA PRIVATE KEY|[A-Z -]{0,9}") {
            let pem = super::super::trial::pem(&kind, &content);
            for bytes in [pem.as_bytes(), &content] {
                if let (Ok(shown), Ok(key)) = (certificates::certificates(bytes), certificates::key(pem.as_bytes())) {
                    let _ = certificates::expiry(&shown[0]);
                    let _ = certificates::certified(shown, key);
                }
            }
        }
    }

    fn read_text(text: &str) -> Result<Rules, ConfigError> {
        let path = Path::new("/nowhere/web.yml");
        let raw = raw::parse(path, text)?;
        Reading { check: Check::of(path), folder: Path::new("/nowhere"), sources: &mut Vec::new() }.rules(raw)
    }
}
