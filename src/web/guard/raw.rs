//! The file as typed: names, types and places, before anything is checked against anything else.

use std::fmt;
use std::path::Path;

use serde::Deserialize;
use serde_saphyr::Spanned;

use crate::config_file::{self, ByName, ConfigError, RawDuration};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFile {
    #[serde(default)]
    pub(super) tls_server_config: Option<Spanned<RawTls>>,
    #[serde(default)]
    pub(super) http_server_config: Option<RawHttp>,
    #[serde(default)]
    pub(super) basic_auth_users: Option<ByName<Spanned<RawSecret>>>,
    #[serde(default)]
    pub(super) rate_limit: Option<Spanned<RawRateLimit>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTls {
    #[serde(default)]
    pub(super) cert_file: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) cert: Option<Spanned<RawSecret>>,
    #[serde(default)]
    pub(super) key_file: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) key: Option<Spanned<RawSecret>>,
    #[serde(default)]
    pub(super) client_ca_file: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) client_ca: Option<Spanned<RawSecret>>,
    #[serde(default)]
    pub(super) client_auth_type: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) client_allowed_sans: Option<Spanned<Vec<String>>>,
    #[serde(default)]
    pub(super) min_version: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) max_version: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) cipher_suites: Option<Vec<Spanned<String>>>,
    #[serde(default)]
    pub(super) prefer_server_cipher_suites: Option<bool>,
    #[serde(default)]
    pub(super) curve_preferences: Option<Vec<Spanned<String>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawHttp {
    /// Taken and not used: only HTTP/1.1 is spoken here.
    #[serde(default, rename = "http2")]
    _http2: Option<bool>,
    #[serde(default)]
    pub(super) headers: Option<RawHeaders>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawHeaders {
    #[serde(default, rename = "Content-Security-Policy")]
    pub(super) content_security_policy: Option<Spanned<String>>,
    #[serde(default, rename = "X-Frame-Options")]
    pub(super) x_frame_options: Option<Spanned<String>>,
    #[serde(default, rename = "X-Content-Type-Options")]
    pub(super) x_content_type_options: Option<Spanned<String>>,
    #[serde(default, rename = "X-XSS-Protection")]
    pub(super) x_xss_protection: Option<Spanned<String>>,
    #[serde(default, rename = "Strict-Transport-Security")]
    pub(super) strict_transport_security: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRateLimit {
    pub(super) interval: Spanned<RawInterval>,
    pub(super) burst: Spanned<u32>,
}

/// A duration, or `0` for none at all.
#[derive(Debug)]
pub(super) struct RawInterval(pub(super) Option<RawDuration>);

impl<'de> Deserialize<'de> for RawInterval {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::value::{Error, StringDeserializer};
        let typed = String::deserialize(deserializer)?;
        if typed == "0" {
            return Ok(RawInterval(None));
        }
        let duration = RawDuration::deserialize(StringDeserializer::<Error>::new(typed));
        duration.map(|duration| RawInterval(Some(duration))).map_err(serde::de::Error::custom)
    }
}

/// Text that is not shown to anybody, not even in a log for debugging.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub(super) struct RawSecret(pub(super) String);

impl fmt::Debug for RawSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("RawSecret(..)")
    }
}

/// Reads the text of a file.
pub(super) fn parse(path: &Path, text: &str) -> Result<RawFile, ConfigError> {
    config_file::parse(path, text, "tls_server_config or basic_auth_users")
}
